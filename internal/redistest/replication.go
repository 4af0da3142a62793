package redistest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// patience is long, for a machine under load. Most waits take milliseconds.
const patience = 60 * time.Second

// eventually polls until a check succeeds, and fails the test after patience.
func eventually(tb testing.TB, check func() error) {
	tb.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("redistest: not after %v: %v", patience, err)
		}
	}
}

// linked checks that a replica is connected to its master.
func (s *Server) linked() error {
	reply, err := s.Do("INFO", "replication")
	if err != nil {
		return err
	}
	text, _ := reply.(string)
	if link := parseInfo(text)["master_link_status"]; link != "up" {
		return fmt.Errorf("%s: master_link_status:%s", s.Addr, link)
	}
	return nil
}

// replicated checks that a write to a master reaches one replica. A link that is up does not
// guarantee that.
func (s *Server) replicated() error {
	c, err := dial(s.Addr, s.password, callTimeout)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	// Among a few keys, one belongs to a slot of this node.
	for i := range 1000 {
		key := fmt.Sprint("redistest:", i)
		_, err := c.do("SET", key, "")
		if failure := ReplyError(""); errors.As(err, &failure) && strings.HasPrefix(string(failure), "MOVED ") {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := c.do("DEL", key); err != nil {
			return err
		}
		n, err := c.do("WAIT", 1, 1000)
		if err != nil {
			return err
		}
		if n != int64(1) {
			return fmt.Errorf("%s: WAIT 1 gives %v", s.Addr, n)
		}
		return nil
	}
	return fmt.Errorf("%s has no slots", s.Addr)
}
