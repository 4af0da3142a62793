package servertest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// An Account is a user of the machine that servers run as. A nil Account is the user of
// the test.
type Account struct{ uid, gid uint32 }

// Unprivileged returns an account for servers that refuse to run as root. It is nobody's
// account if the test runs as root, otherwise nil.
func Unprivileged() (*Account, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nil is a valid account
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &Account{uint32(uid), uint32(gid)}, nil
}

func (a *Account) apply(cmd *exec.Cmd) {
	if a == nil {
		return
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

// Run runs a command as the account and waits for it. An error includes the output of
// the command. The command ends with the test binary, as a server does.
func (a *Account) Run(cmd *exec.Cmd) (stdout []byte, err error) {
	out, log := new(bytes.Buffer), new(bytes.Buffer)
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	cmd.Stderr = log
	p, err := startProcess(cmd, a)
	if err != nil {
		return nil, err
	}
	<-p.done
	if !cmd.ProcessState.Success() {
		return nil, fmt.Errorf("%s: %v: %s%s", cmd.Path, cmd.ProcessState, tail(log.Bytes()), tail(out.Bytes()))
	}
	return out.Bytes(), nil
}

// WithFolder calls f with a new folder of the account, and then removes the folder.
func (a *Account) WithFolder(f func(dir string) error) error {
	dir, remove, err := newFolder(a)
	if err != nil {
		return err
	}
	return errors.Join(f(dir), remove())
}
