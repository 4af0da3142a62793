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

// A clock is the wall clock of a server. The server's processes preload a library, which
// maps a file with the offset of the clock or the time at which it stands still. This
// works on Linux only. It needs the C compiler of Go, as the race detector does.
type clock struct{ library, file string }

// newClock makes a clock without an offset. Its files are in dir.
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

// env returns the environment for a server with the clock. A nil clock is the machine's
// clock.
func (c *clock) env() []string {
	if c == nil {
		return nil
	}
	return []string{"LD_PRELOAD=" + c.library, "SERVERTEST_CLOCK=" + c.file}
}

// set gives the clock an offset. If still is not zero, the clock stands at that many
// nanoseconds since 1970 instead. The file is mapped, so set changes it in place and the
// processes see the change at once.
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

// clockLibrary compiles the library once for the package, because that takes longer than
// starting ten servers. It leaves no file behind.
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

// compiler finds a C compiler and the arguments to call it with.
func compiler() ([]string, error) {
	out, _ := exec.CommandContext(context.Background(), "go", "env", "CC").Output() // the machine may have the test binary but no Go
	for _, line := range []string{string(out), "cc", "gcc"} {
		if cc := strings.Fields(line); len(cc) > 0 {
			if _, err := exec.LookPath(cc[0]); err == nil {
				return cc, nil
			}
		}
	}
	return nil, errors.New("there is no C compiler: apt-get install gcc libc6-dev")
}

// CanSetClock reports whether the clocks of servers can be set on this system.
func CanSetClock() bool { return runtime.GOOS == "linux" }
