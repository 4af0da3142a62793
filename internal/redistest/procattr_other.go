//go:build !linux

package redistest

import "syscall"

// procAttr gives a child a process group of its own, so that what it forks can
// be killed with it. Only Linux can let it die with its parent.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// stopped cannot be told here: the signal was sent.
func stopped(int) bool { return true }
