package main

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is for what takes milliseconds, on a machine that does much else.
const patience = 30 * time.Second

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// build returns the example as a program. The first test that asks for it builds it.
func build(t *testing.T) string {
	t.Helper()
	program.once.Do(func() {
		ctx := context.WithoutCancel(t.Context()) // other tests need the program, too
		program.out, program.err = exec.CommandContext(ctx, "go", "build", "-o", program.bin, ".").CombinedOutput()
	})
	if program.err != nil {
		t.Fatalf("go build: %v\n%s", program.err, program.out)
	}
	return program.bin
}

var program struct {
	once sync.Once
	bin  string // set by TestMain
	out  []byte
	err  error
}

// A process is the program while it runs.
type process struct {
	cmd   *exec.Cmd
	out   *output
	url   string
	addr  string
	ended chan struct{}
	err   error // of Wait, once ended is closed
}

// An output is what a process has printed so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// run starts the program. The end of the test kills it.
func run(t *testing.T, bin string, args ...string) *process {
	t.Helper()
	return runWith(t, bin, nil, args...)
}

// runWith is run, with more in the environment.
func runWith(t *testing.T, bin string, env []string, args ...string) *process {
	t.Helper()
	p := &process{out: &output{}, ended: make(chan struct{})}
	// Not the context of the test, which ends before its cleanups.
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), bin, args...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.Env = append(os.Environ(), env...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// start starts the program at an address and returns when it serves.
func start(t *testing.T, bin, addr string, args ...string) *process {
	t.Helper()
	return startWith(t, bin, nil, addr, args...)
}

// startWith is start, with more in the environment.
func startWith(t *testing.T, bin string, env []string, addr string, args ...string) *process {
	t.Helper()
	p := runWith(t, bin, env, append([]string{"-addr", addr}, args...)...)
	serving := regexp.MustCompile(`(?m)^Serving (http://(.+))$`)
	await(t, "it serves", func() bool {
		select {
		case <-p.ended:
			t.Fatalf("it ended: %v\n%s", p.err, p.out)
		default:
		}
		found := serving.FindStringSubmatch(p.out.String())
		if found == nil {
			return false
		}
		p.url, p.addr = found[1], found[2]
		return true
	})
	return p
}

// site is the process as visitors know it.
func (p *process) site() *httptest.Server {
	return &httptest.Server{URL: p.url}
}

func (p *process) signal(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// wait waits for the end of the process, and that it was a good one.
func (p *process) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	if p.err != nil {
		t.Errorf("got %v\n%s", p.err, p.out)
	}
}

func (p *process) terminate(t *testing.T) {
	t.Helper()
	p.signal(t)
	p.wait(t)
}
