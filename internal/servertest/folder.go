package servertest

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	folderPrefix = "servertest-"
	folderAge    = time.Minute // a younger folder may not be locked yet
)

// newFolder makes a folder of an account. The account's server may write to it until
// remove is called. TempDir of [testing.TB] is not used, because only the user of the
// test can open its folders.
//
// A killed test binary leaves its folders behind. So each binary locks its folders, and
// the next one removes the unlocked folders.
func newFolder(as *Account) (dir string, remove func() error, err error) {
	sweepOnce()
	dir, err = os.MkdirTemp("", folderPrefix)
	if err != nil {
		return "", nil, err
	}
	lock, err := lockFolder(dir)
	if err == nil && as != nil {
		err = os.Chown(dir, int(as.uid), int(as.gid))
	}
	remove = func() error {
		defer func() { _ = lock.Close() }()
		return os.RemoveAll(dir)
	}
	if err != nil {
		_ = remove()
		return "", nil, err
	}
	return dir, remove, nil
}

// lockFolder locks a folder. It fails while another process holds the lock.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.Open(dir) //nolint:gosec // it is a folder of servers
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

//nolint:gochecknoglobals // leftover folders are a fact about the machine
var sweepOnce = sync.OnceFunc(func() { Sweep(os.TempDir(), folderAge) })

// Sweep removes folders that killed test binaries have left in a folder, if they have
// not changed for the given time. The first server of a test binary calls it.
func Sweep(in string, age time.Duration) {
	dirs, _ := filepath.Glob(filepath.Join(in, folderPrefix+"*"))
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil || time.Since(info.ModTime()) < age {
			continue
		}
		lock, err := lockFolder(dir)
		if err != nil {
			continue // the folder is in use or belongs to another user
		}
		_ = os.RemoveAll(dir)
		_ = lock.Close()
	}
}
