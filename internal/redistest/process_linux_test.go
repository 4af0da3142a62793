package redistest_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/internal/servertest"
)

// status returns the state of a process and its group; gone or a zombie: 0.
func status(pid int) (state byte, group int) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	var parent int
	stat = stat[bytes.LastIndexByte(stat, ')'):]
	if _, err := fmt.Sscanf(string(stat), ") %c %d %d", &state, &parent, &group); err != nil || state == 'Z' {
		return 0, 0
	}
	return state, group
}

// processes returns those of a group.
func processes(group int) []int {
	var all []int
	paths, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range paths {
		pid, _ := strconv.Atoi(filepath.Base(path))
		if _, g := status(pid); g == group {
			all = append(all, pid)
		}
	}
	return all
}

func TestServersDieWithTheTestBinary(t *testing.T) {
	if servertest.IsChild() {
		runs, paused := redistest.Start(t), redistest.Start(t)
		paused.Pause()
		servertest.Tell("%d %d", runs.PID(), paused.PID())
		select {}
	}
	t.Parallel()
	cmd := servertest.Child(t)
	var pids [2]int
	servertest.Expect(t, servertest.Output(t, cmd), "%d %d", &pids[0], &pids[1])
	servertest.KillAtEnd(t, pids[:]...)
	for _, pid := range pids {
		if servertest.Gone(pid) {
			t.Fatal("the server does not run")
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for _, pid := range pids {
		servertest.Until(t, "the server has gone", func() bool { return servertest.Gone(pid) })
	}
}

// Their life must not hang on the thread that happened to start them.
func TestServersOutliveThreads(t *testing.T) {
	t.Parallel()
	var s *redistest.Server
	start := func() int {
		thread := make(chan int)
		go func() {
			runtime.LockOSThread() // the thread ends with the goroutine
			defer func() { thread <- syscall.Gettid() }()
			s = redistest.Start(t)
		}()
		return <-thread
	}
	tid := start()
	if tid == os.Getpid() { // but the first thread of a process does not, it only becomes unusable
		tid = start()
	}
	servertest.Until(t, "the thread has gone", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tid))
		return err != nil
	})
	s.MustDo(t, "PING")
}

func TestPausedServerIsStopped(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for range 50 {
		s.Pause()
		if state, _ := status(s.PID()); state != 'T' {
			t.Errorf("paused, its state is %c", state)
		}
		s.Resume()
		s.MustDo(t, "PING")
	}
}

// A server saves in a child of its own, which must not be left writing to a
// folder that is removed.
func TestKillTakesTheSavingChild(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--rdb-key-save-delay", "1000000000") // by key, in microseconds
	s.MustDo(t, "DEBUG", "POPULATE", 10)
	s.MustDo(t, "BGSAVE")
	pid := s.PID()
	children := processes(pid)
	servertest.KillAtEnd(t, children...)
	if len(children) != 2 {
		t.Fatalf("%v are in the group of the server, want it and its child", children)
	}
	s.Kill()
	servertest.Until(t, "the child has gone", func() bool { return len(processes(pid)) == 0 })
}

func TestShared(t *testing.T) {
	if servertest.IsChild() {
		s := redistest.Start(redistest.Shared())
		dir := s.MustDo(t, "CONFIG", "GET", "dir").([]any)[1]
		t.Run("a test", func(t *testing.T) { s.MustDo(t, "PING") })
		servertest.Tell("%d %s", s.PID(), dir)
		return
	}
	t.Parallel()
	cmd := servertest.Child(t)
	out := servertest.Output(t, cmd)
	var (
		pid int
		dir string
	)
	servertest.Expect(t, out, "%d %s", &pid, &dir)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if !servertest.Gone(pid) {
		t.Error("the server has outlived the tests")
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is still there: %v", err)
	}
}
