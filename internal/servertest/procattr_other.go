//go:build !linux

package servertest

import "syscall"

// procAttr gives a child its own process group, so that its forks can be killed with it.
// Only Linux can end a child with its parent.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// These functions need Linux's /proc.
func stopped(int) bool      { return true }
func gone(int) bool         { return true }
func descendants(int) []int { return nil }
