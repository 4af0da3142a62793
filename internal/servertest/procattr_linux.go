package servertest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// procAttr gives a child its own process group, so that its forks can be killed with it.
// The child dies with the thread that forked it.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// status returns the state of a process and its parent. The state is 0 if the process no
// longer exists.
func status(pid int) (state byte, parent int) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	// The format is: pid (name) state parent …. The name may contain any byte, so parse
	// after its end.
	stat = stat[bytes.LastIndexByte(stat, ')')+1:]
	if _, err := fmt.Sscanf(string(stat), " %c %d", &state, &parent); err != nil {
		return 0, 0
	}
	return state, parent
}

func gone(pid int) bool {
	state, _ := status(pid)
	return state == 0 || state == 'Z' || state == 'X'
}

// stopped reports whether a process has come to rest after SIGSTOP.
func stopped(pid int) bool {
	state, _ := status(pid)
	return state == 'T' || gone(pid)
}

// descendants returns the processes that a process and its children have forked, parents
// first.
func descendants(pid int) []int {
	paths, _ := filepath.Glob("/proc/[0-9]*")
	children := make(map[int][]int)
	for _, path := range paths {
		child, _ := strconv.Atoi(filepath.Base(path))
		if _, parent := status(child); parent != 0 {
			children[parent] = append(children[parent], child)
		}
	}
	all := children[pid]
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}
