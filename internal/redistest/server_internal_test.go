package redistest

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/mist-contrib/session/internal/servertest"
)

func TestBadConfigShowsTheLog(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--no-such-thing", "1"}, {"--maxclients", "-1"}} {
		_, err := theBinary(t).start(t, plan{args: args})
		if err == nil {
			t.Fatalf("%v is accepted", args)
		}
		if !strings.Contains(err.Error(), strings.TrimPrefix(args[0], "--")) {
			t.Errorf("the reason is not shown: %v", err)
		}
	}
}

// Whatever holds the port, be it a server that answers, is not taken for ours.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	port, release, err := servertest.TakePort()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, port := range []int{port, Start(t).Port} {
		s, err := theBinary(t).startOn(t, port, plan{})
		if !errors.Is(err, servertest.ErrPortTaken) {
			t.Errorf("on a port that is taken: %v", err)
		}
		if s.PID() != 0 {
			t.Error("it still runs")
		}
	}
}

// A killed server must find its port free when it is restarted.
func TestPortStaysWithTheServer(t *testing.T) {
	t.Parallel()
	port, release, err := servertest.TakePort()
	if err != nil {
		t.Fatal(err)
	}
	if !servertest.PortFree(port) || servertest.PortFree(port+servertest.LockOffset) {
		t.Error("another test may take a port that was taken")
	}
	release()
	s := Start(t)
	s.Kill()
	if servertest.PortFree(s.Port + servertest.LockOffset) {
		t.Error("another test may take the port of a killed server")
	}
}
