package servertest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childEnv is set in a test binary that [Child] starts.
const childEnv = "SERVERTEST_CHILD"

// IsChild reports whether a test runs in a [Child].
func IsChild() bool { return os.Getenv(childEnv) != "" }

// Child returns a command that runs the calling test in its own test binary. The binary
// has its own folder for temporary files.
func Child(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	tmp := t.TempDir()
	// Servers that run as another user need access to this folder.
	if err := os.Chmod(filepath.Dir(tmp), 0o755); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], //nolint:gosec // the test itself
		"-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1", "-test.timeout=2m")
	cmd.Env = append(append(os.Environ(), childEnv+"=1", "TMPDIR="+tmp), env...)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// Output starts a child and returns its output line by line.
func Output(t *testing.T, child *exec.Cmd) *bufio.Scanner {
	t.Helper()
	r, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	return bufio.NewScanner(r)
}

// Tell prints a line in a child for the parent's [Expect].
func Tell(format string, args ...any) { fmt.Printf("\nCHILD "+format+"\n", args...) }

// Expect reads a line that a child printed with [Tell].
func Expect(t *testing.T, out *bufio.Scanner, format string, args ...any) {
	t.Helper()
	var seen []string
	for out.Scan() {
		if line, ok := strings.CutPrefix(out.Text(), "CHILD "); ok {
			if _, err := fmt.Sscanf(line, format, args...); err != nil {
				t.Fatalf("the child tells %q, want %q: %v", line, format, err)
			}
			return
		}
		seen = append(seen, out.Text())
	}
	t.Fatalf("the child tells nothing:\n%s", strings.Join(seen, "\n"))
}

// Until polls until holds returns true.
func Until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// KillAtEnd kills processes after the test. It is for tests that may fail and leave
// servers behind.
func KillAtEnd(t *testing.T, pids ...int) {
	t.Helper()
	t.Cleanup(func() {
		for _, pid := range pids {
			if !gone(pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
}
