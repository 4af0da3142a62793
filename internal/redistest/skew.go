package redistest

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

//go:embed shim/clock.c
var clockSource []byte

// StartSkewed starts a server whose clock is off by an offset. It preloads a
// library into the server, which it builds with the C compiler of Go (the race
// detector needs that, too), so it works on Linux only.
func StartSkewed(tb testing.TB, offset time.Duration, config ...string) *Server {
	tb.Helper()
	return theBinary(tb).StartSkewed(tb, offset, config...)
}

// StartSkewed starts a server whose clock is off, as the function of this name
// does.
func (b Binary) StartSkewed(tb testing.TB, offset time.Duration, config ...string) *Server {
	tb.Helper()
	library, err := clockLibrary()
	if err != nil {
		tb.Fatalf("redistest: a skewed clock: %v", err)
	}
	path := filepath.Join(tb.TempDir(), "clock.so")
	if err := os.WriteFile(path, library, 0o600); err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	s := b.mustStart(tb, plan{args: config, env: []string{
		"LD_PRELOAD=" + path,
		"REDISTEST_CLOCK_OFFSET=" + strconv.FormatInt(offset.Nanoseconds(), 10),
	}})
	if err := s.skewedBy(offset); err != nil {
		tb.Fatalf("redistest: a skewed clock: %v", err)
	}
	return s
}

// clockLibrary compiles the library, once for the package: that takes longer
// than starting ten servers. It keeps no file, so there is none to remove.
//
//nolint:gochecknoglobals // see above
var clockLibrary = sync.OnceValues(func() ([]byte, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.ErrUnsupported
	}
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cc, err := compiler()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "clock.so")
	args := append(cc[1:], "-shared", "-fPIC", "-O1", "-o", path, "-x", "c", "-")
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

// skewedBy checks that the server's clock is off by an offset: that it lies
// between what it is to show before and after the question.
func (s *Server) skewedBy(offset time.Duration) error {
	const slack = 5 * time.Millisecond // of the machine's clock itself
	before := time.Now().Add(offset - slack)
	reply, err := s.Do("TIME")
	if err != nil {
		return err
	}
	after := time.Now().Add(offset + slack)
	parts, _ := reply.([]any)
	if len(parts) != 2 {
		return fmt.Errorf("TIME gives %v", reply)
	}
	sec, err1 := strconv.ParseInt(fmt.Sprint(parts[0]), 10, 64)
	usec, err2 := strconv.ParseInt(fmt.Sprint(parts[1]), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if now := time.UnixMicro(sec*1e6 + usec); now.Before(before) || now.After(after) {
		return fmt.Errorf("the server shows %v, not %v to %v", now, before, after)
	}
	return nil
}
