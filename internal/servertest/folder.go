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
	folderAge    = time.Minute // a younger one may not be locked yet
)

// newFolder makes a folder of an account. The account's server may go on writing
// to it until the function remove is called. Folders of [testing.TB] are open to
// the user of the test only.
//
// A test binary that is killed leaves its folders behind. So it keeps a lock on
// each, and the next one removes those without.
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

// lockFolder fails while another process has a folder.
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

//nolint:gochecknoglobals // what others have left is a fact about the machine
var sweepOnce = sync.OnceFunc(func() { Sweep(os.TempDir(), folderAge) })

// Sweep removes the folders that killed test binaries have left in a folder, if they
// have not changed for some time. The first server of a test binary calls it.
func Sweep(in string, age time.Duration) {
	dirs, _ := filepath.Glob(filepath.Join(in, folderPrefix+"*"))
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil || time.Since(info.ModTime()) < age {
			continue
		}
		lock, err := lockFolder(dir)
		if err != nil {
			continue // it is in use, or another user's
		}
		_ = os.RemoveAll(dir)
		_ = lock.Close()
	}
}
