package sessiontest

import (
	"context"
	"slices"
)

// A rule is one promise. It is data, so that the suite's own tests can run it on stores
// that break it.
type rule struct {
	name  string     // the expected behaviour, as a short statement
	needs Capability // the rule runs only if the Harness declares them
	check func(ctx context.Context, e *env) error
}

// A chapter holds the rules of one invariant.
type chapter struct {
	name      string
	invariant string
	rules     []rule
}

// chapters returns the whole suite: the ten invariants of the module, in the words of its
// design.
func chapters() []chapter {
	return []chapter{
		{
			"yours only",
			"A request gets the session its own token names, or none.",
			slices.Concat(yoursOnly(), usersYours(), devicesYours()),
		},
		{
			"dead stays dead",
			"After Remove returned, after expiry, after the user was revoked: no write, refresh, rotate, late response or retry brings it back.",
			slices.Concat(deadStaysDead(), usersDead(), devicesDead()),
		},
		{
			"nothing acknowledged is lost",
			"A Set that returned nil survives every concurrent request of the same session, rotation included. Reading never writes values.",
			slices.Concat(nothingLost(), rotation(), usersLost(), devicesLost()),
		},
		{
			"never early, never late",
			"Idle and absolute deadlines hold to the millisecond; no operation leaves a record without an expiry; only a login or reauthentication moves the absolute deadline later.",
			slices.Concat(neverEarlyNeverLate(), usersTimes(), devicesTimes()),
		},
		{
			"same on every store",
			"Same values (type and content), same errors, same edge cases. A session object shows the session as it was loaded plus its own writes; Update and Pop act on what is stored now.",
			slices.Concat(sameValues(), sameBehaviour(), usersSame(), devicesSame()),
		},
		{
			"no identifier is adopted",
			"A token the store did not issue never creates or names anything.",
			noneAdopted(),
		},
		{
			"not found is not failure",
			"ErrNotFound means nobody is logged in. A store that is down is another error.",
			notFoundIsNotFailure(),
		},
		{
			"bounded",
			"Every store call ends with its context; input is checked (shape, length) before it reaches a store; hostile bytes give errors, never panics.",
			append(bounded(), devicesBounded()...),
		},
		{
			"values are copies",
			"Changing a slice or map that Get returned, or that was handed to Set, does not change the session.",
			copies(),
		},
		{
			"quiet",
			"No token ever in an error, log line, event, panic or trace. No goroutine that was not asked for.",
			append(quiet(), devicesQuiet()...),
		},
	}
}
