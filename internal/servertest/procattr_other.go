//go:build !linux

package servertest

import "syscall"

// procAttr gives a child a process group of its own, so that what it forks can
// be killed with it. Only Linux can let it die with its parent.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// None of these can be told here without Linux's /proc.
func stopped(int) bool      { return true }
func gone(int) bool         { return true }
func descendants(int) []int { return nil }
