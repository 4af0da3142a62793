package redistest

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"
)

// StartSkewed starts a server whose clock is off by an offset. It needs Linux and a C
// compiler.
func StartSkewed(tb testing.TB, offset time.Duration, config ...string) *Server {
	tb.Helper()
	return theBinary(tb).StartSkewed(tb, offset, config...)
}

// StartSkewed starts a server of this binary, like the function StartSkewed.
func (b Binary) StartSkewed(tb testing.TB, offset time.Duration, config ...string) *Server {
	tb.Helper()
	s := b.mustStart(tb, plan{args: config, clock: true})
	s.SetClock(offset)
	if err := s.skewedBy(offset); err != nil {
		tb.Fatalf("redistest: a skewed clock: %v", err)
	}
	return s
}

// skewedBy checks that the server's clock is off by an offset. The server's answer must lie
// between the shifted times before and after the question.
func (s *Server) skewedBy(offset time.Duration) error {
	const slack = 5 * time.Millisecond // for the machine's own clock
	before := time.Now().Add(offset - slack)
	reply, err := s.Do("TIME")
	if err != nil {
		return err
	}
	after := time.Now().Add(offset + slack)
	parts, _ := reply.([]any)
	if len(parts) != 2 {
		return fmt.Errorf("TIME gives %v", reply)
	}
	sec, err1 := strconv.ParseInt(fmt.Sprint(parts[0]), 10, 64)
	usec, err2 := strconv.ParseInt(fmt.Sprint(parts[1]), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if now := time.UnixMicro(sec*1e6 + usec); now.Before(before) || now.After(after) {
		return fmt.Errorf("the server shows %v, not %v to %v", now, before, after)
	}
	return nil
}
