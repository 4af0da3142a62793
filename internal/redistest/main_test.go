package redistest_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// childEnv is set in a test binary that a test runs once more.
const childEnv = "REDISTEST_CHILD"

func isChild() bool { return os.Getenv(childEnv) != "" }

// child is the command that runs the calling test in a binary of its own.
func child(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0],
		"-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1", "-test.timeout=2m")
	cmd.Env = append(append(os.Environ(), childEnv+"=1", "TMPDIR="+t.TempDir()), env...)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// output starts a command and returns what it prints, line by line.
func output(t *testing.T, cmd *exec.Cmd) *bufio.Scanner {
	t.Helper()
	r, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return bufio.NewScanner(r)
}

// tell prints what expect reads in the parent.
func tell(format string, args ...any) { fmt.Printf("\nCHILD "+format+"\n", args...) }

func expect(t *testing.T, out *bufio.Scanner, format string, args ...any) {
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

// until polls until something holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}
