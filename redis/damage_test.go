package redis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
)

// A damage is what a siege has done to the visitors.
type damage struct {
	errors    map[string]int // by kind
	writes    int            // acknowledged
	lost      int            // of them
	logouts   int            // acknowledged
	undead    int            // of them
	unborn    int            // acknowledged logins that nobody knew of afterwards
	foreign   int            // answers that were for somebody else
	strangers int            // answers to those who are logged in that they are not
	cookies   int            // answers that set or cleared a cookie and must not
	writeGap  time.Duration  // the longest that a writer waited for a write
	readGap   time.Duration  // the longest that a reader waited for an answer
	slowest   time.Duration  // request
}

func (d damage) String() string {
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(d.errors)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, d.errors[kind]))
	}
	return fmt.Sprintf("writes again after %v, reads after %v, slowest request %v; writes acknowledged %d, lost %d; "+
		"logouts acknowledged %d, undone %d; logins lost %d; foreign %d, logged out %d, cookies touched %d; errors: %s",
		d.writeGap.Round(time.Millisecond), d.readGap.Round(time.Millisecond), d.slowest.Round(time.Millisecond),
		d.writes, d.lost, d.logouts, d.undead, d.unborn, d.foreign, d.strangers, d.cookies, strings.Join(kinds, ", "))
}

// kindOf names an error for the log.
func kindOf(err error) string {
	var (
		answered goredis.Error
		network  net.Error
		where    *net.OpError
	)
	switch {
	case err == nil:
		return "none"
	case errors.Is(err, session.ErrNotFound):
		return "not found"
	case errors.As(err, &answered):
		word, _, _ := strings.Cut(answered.Error(), " ")
		return word
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return "broken connection"
	case errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.As(err, &where):
		return where.Op
	}
	return err.Error()
}
