package servertest

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

//go:embed shim/clock.c
var clockSource []byte

// A clock is the wall clock of a server. A library that is preloaded into the
// server's processes maps a file that says how far off the clock is, or what it shows
// if it stands still. So it works on Linux only, with the C compiler of Go (the race
// detector needs that, too).
type clock struct{ library, file string }

// newClock makes a clock that is not off, with its files in a folder.
func newClock(dir string) (*clock, error) {
	library, err := clockLibrary()
	if err != nil {
		return nil, err
	}
	c := &clock{filepath.Join(dir, "clock.so"), filepath.Join(dir, "clock")}
	for path, content := range map[string][]byte{c.library: library, c.file: make([]byte, 16)} {
		if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // the server may run as another user
			return nil, err
		}
	}
	return c, nil
}

// env is what a server with the clock needs. A nil clock is the machine's.
func (c *clock) env() []string {
	if c == nil {
		return nil
	}
	return []string{"LD_PRELOAD=" + c.library, "SERVERTEST_CLOCK=" + c.file}
}

// set lets the clock run with an offset, or if still is not zero stand at so many
// nanoseconds since 1970. It changes the file in place, since it is mapped: the
// processes see it at once.
func (c *clock) set(offset time.Duration, still int64) error {
	if c == nil {
		return errors.New("the server has the machine's clock")
	}
	f, err := os.OpenFile(c.file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	b := binary.NativeEndian.AppendUint64(nil, uint64(offset.Nanoseconds())) //nolint:gosec // the same bits
	b = binary.NativeEndian.AppendUint64(b, uint64(still))                   //nolint:gosec // likewise
	_, err = f.WriteAt(b, 0)
	return errors.Join(err, f.Close())
}

// clockLibrary compiles the library, once for the package: that takes longer
// than starting ten servers. It keeps no file, so there is none to remove.
//
//nolint:gochecknoglobals // see above
var clockLibrary = sync.OnceValues(func() ([]byte, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.ErrUnsupported
	}
	dir, err := os.MkdirTemp("", "servertest")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cc, err := compiler()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "clock.so")
	args := append(cc[1:], "-shared", "-fPIC", "-O2", "-o", path, "-x", "c", "-", "-x", "none", "-ldl")
	cmd := exec.CommandContext(context.Background(), cc[0], args...) //nolint:gosec // the developer's own
	cmd.Stdin = bytes.NewReader(clockSource)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cc[0], err, out)
	}
	return os.ReadFile(path) //nolint:gosec // written above
})

// compiler finds a C compiler, and the arguments that it is to be called with.
func compiler() ([]string, error) {
	out, _ := exec.CommandContext(context.Background(), "go", "env", "CC").Output() // there may be only a test binary
	for _, line := range []string{string(out), "cc", "gcc"} {
		if cc := strings.Fields(line); len(cc) > 0 {
			if _, err := exec.LookPath(cc[0]); err == nil {
				return cc, nil
			}
		}
	}
	return nil, errors.New("there is no C compiler: apt-get install gcc libc6-dev")
}

// CanSetClock reports whether servers can have clocks that can be set.
func CanSetClock() bool { return runtime.GOOS == "linux" }
