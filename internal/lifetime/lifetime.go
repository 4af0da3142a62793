// Package lifetime applies the defaults and limits of timeouts, for all stores and for cookies.
package lifetime

import (
	"cmp"
	"fmt"
	"time"
)

const (
	defaultIdle     = 30 * time.Minute
	defaultAbsolute = 12 * time.Hour

	// Max is the longest absolute timeout, and the longest Max-Age of a cookie. Browsers
	// keep no cookie longer (RFC 6265bis).
	Max = 400 * 24 * time.Hour
)

// Of returns the timeouts of a store. Zero means the default. An error names the wrong field.
func Of(idleTimeout, absoluteTimeout time.Duration) (idle, absolute time.Duration, err error) {
	return Own(idleTimeout, absoluteTimeout, defaultIdle, defaultAbsolute)
}

// Own returns the timeouts of one session. Zero means the store's timeout.
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
