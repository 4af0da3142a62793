// Package lifetime reads the timeouts of a store, for every store alike.
package lifetime

import (
	"cmp"
	"fmt"
	"time"
)

const (
	defaultIdle     = 30 * time.Minute
	defaultAbsolute = 12 * time.Hour

	// Max is the longest absolute timeout: what a browser keeps a cookie (RFC 6265bis).
	Max = 400 * 24 * time.Hour
)

// Of returns the timeouts that a store's fields mean: zero is the default. The
// error names the field that is wrong.
func Of(idleTimeout, absoluteTimeout time.Duration) (idle, absolute time.Duration, err error) {
	return Own(idleTimeout, absoluteTimeout, defaultIdle, defaultAbsolute)
}

// Own returns the timeouts of one session: zero is the store's.
func Own(idleTimeout, absoluteTimeout, storeIdle, storeAbsolute time.Duration) (idle, absolute time.Duration, err error) {
	absolute = cmp.Or(absoluteTimeout, storeAbsolute)
	idle = cmp.Or(idleTimeout, min(storeIdle, absolute))
	switch {
	case absolute < time.Millisecond || absolute > Max:
		err = fmt.Errorf("AbsoluteTimeout %v is not between a millisecond and 400 days", absolute)
	case idle < time.Millisecond:
		err = fmt.Errorf("IdleTimeout %v is under a millisecond", idle)
	case idle > absolute:
		err = fmt.Errorf("IdleTimeout %v is above AbsoluteTimeout %v", idle, absolute)
	}
	return idle, absolute, err
}
