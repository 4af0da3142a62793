package redistest

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// A process is one run of a server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has been reaped
}

// forks starts commands, all on one thread that never ends: Pdeathsig comes when
// the thread that forked ends, and Go ends threads at will. So it is state of
// the package, made by the first server.
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

func startProcess(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = procAttr()
	if err := forks()(cmd); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(p.done)
	}()
	return p, nil
}

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

// kill ends the process and what it has forked: a child that saves would go on
// writing to a folder that is being removed.
func (p *process) kill() {
	if p.running() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may just have ended
		<-p.done
	}
}

// end asks the process to end, and kills it when it does not.
func (p *process) end(patience time.Duration) error {
	if !p.running() {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // a stopped process would not hear the next
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(patience):
		p.kill()
		return fmt.Errorf("still there after %v", patience)
	}
}

var errNotRunning = errors.New("it is not running")

func (p *process) pause() error {
	if !p.running() {
		return errNotRunning
	}
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	// The signal is on its way; the caller wants to rely on it.
	for deadline := time.Now().Add(callTimeout); !stopped(p.cmd.Process.Pid); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			return errors.New("it does not stop")
		}
	}
	return nil
}

func (p *process) resume() error {
	if !p.running() {
		return errNotRunning
	}
	return p.cmd.Process.Signal(syscall.SIGCONT)
}
