package redistest

import (
	"errors"
	"strings"
	"testing"
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
	port, release, err := takePort()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	l, err := listen(port)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, port := range []int{port, Start(t).port} {
		s, err := theBinary(t).startOn(t, port, plan{})
		if !errors.Is(err, errPortTaken) {
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
	port, release, err := takePort()
	if err != nil {
		t.Fatal(err)
	}
	if !portFree(port) || portFree(port+lockOffset) {
		t.Error("another test may take a port that was taken")
	}
	release()
	s := Start(t)
	s.Kill()
	if portFree(s.port + lockOffset) {
		t.Error("another test may take the port of a killed server")
	}
}
