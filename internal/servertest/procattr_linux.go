package servertest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// procAttr gives a child a process group of its own, so that what it forks can
// be killed with it, and lets it die with the thread that forked it.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// status returns the state of a process and its parent. Gone: 0.
func status(pid int) (state byte, parent int) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	// pid (name) state parent …: the name may hold anything, so look behind its end.
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

// descendants returns the processes that a process has forked, and that those
// have forked; parents first.
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
