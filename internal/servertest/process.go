package servertest

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

const callTimeout = 5 * time.Second

// A process is one run of a server, with the processes that the server forks.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has been reaped
}

// forks starts all commands on one thread that never ends. Pdeathsig arrives when the
// thread that forked ends, and Go may end threads at any time. The first server starts
// that thread.
//
//nolint:gochecknoglobals // see above
var forks = sync.OnceValue(func() func(*exec.Cmd) error {
	type job struct {
		cmd *exec.Cmd
		err chan<- error
	}
	jobs := make(chan job)
	go func() {
		runtime.LockOSThread()
		for j := range jobs {
			j.err <- j.cmd.Start()
		}
	}()
	return func(cmd *exec.Cmd) error {
		err := make(chan error)
		jobs <- job{cmd, err}
		return <-err
	}
})

func startProcess(cmd *exec.Cmd, as *Account) (*process, error) {
	cmd.SysProcAttr = procAttr()
	as.apply(cmd)
	if err := forks()(cmd); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the log shows how it ended
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// kill ends the process and everything that it has forked. Otherwise a child could write
// to a folder that is being removed. The children of PostgreSQL are in process groups of
// their own.
func (p *process) kill() {
	if !p.running() {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGSTOP) // a stopped process cannot fork
	awaitStopped(p.pid())
	family := descendants(p.pid())
	_ = syscall.Kill(-p.pid(), syscall.SIGKILL) // it may just have ended
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.done
	for _, pid := range family {
		await(func() bool { return gone(pid) })
	}
}

// end sends a signal to the process, and kills the process if it does not end in time.
func (p *process) end(signal syscall.Signal, patience time.Duration) error {
	if !p.running() {
		return nil
	}
	_ = p.resume() // a stopped process would not handle the signal
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
		return nil
	case <-time.After(patience):
		p.kill()
		return fmt.Errorf("still there after %v", patience)
	}
}

var (
	errNotRunning = errors.New("it is not running")
	errNoStop     = errors.New("it does not stop")
)

func (p *process) pause() error {
	if !p.running() {
		return errNotRunning
	}
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	// Wait for the signal to take effect, because the caller relies on it. Only a
	// stopped process forks no new children.
	if !awaitStopped(p.pid()) {
		return errNoStop
	}
	family := descendants(p.pid())
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGSTOP) // it may just have ended
	}
	for _, pid := range family {
		if !awaitStopped(pid) {
			return errNoStop
		}
	}
	return nil
}

func (p *process) resume() error {
	if !p.running() {
		return errNotRunning
	}
	for _, pid := range slices.Backward(descendants(p.pid())) {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	return p.cmd.Process.Signal(syscall.SIGCONT)
}

func awaitStopped(pid int) bool { return await(func() bool { return stopped(pid) }) }

// await polls until holds returns true, and reports whether it did.
func await(holds func() bool) bool {
	for deadline := time.Now().Add(callTimeout); !holds(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// Gone reports whether a process has ended.
func Gone(pid int) bool { return gone(pid) }

// Stopped reports whether a process has come to rest after SIGSTOP, or has ended.
func Stopped(pid int) bool { return stopped(pid) }

// Family returns a process and all its descendants.
func Family(pid int) []int { return append([]int{pid}, descendants(pid)...) }
