package program

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/mist-contrib/session"
)

// An outcome describes the result of one call, without anything that may differ between
// stores.
type outcome struct {
	made    bool // it returned a session
	id      string
	token   int // the number of that session's token, in order of issue; -1: none
	errors  []string
	expired string // which deadline has passed, if Open reports it; stores may forget it early or late
	value   any
	times   []time.Duration // since the program began
}

// skipped is the outcome of a step that found nothing to work on.
//
//nolint:gochecknoglobals // never changes
var skipped = outcome{errors: []string{"skipped"}}

// equal compares two outcomes. Their times may differ by slack.
func (o outcome) equal(other outcome, slack time.Duration) bool {
	return o.made == other.made && o.id == other.id && o.token == other.token && slices.Equal(o.errors, other.errors) && Equal(o.value, other.value) &&
		(o.expired == "" || other.expired == "" || o.expired == other.expired) &&
		slices.EqualFunc(o.times, other.times, func(a, b time.Duration) bool { return (a - b).Abs() <= slack })
}

func (o outcome) String() string {
	text := fmt.Sprintf("session %t %.8q token %d errors %q value %T %.300s", o.made, o.id, o.token, o.errors, o.value, fmt.Sprint(o.value))
	if o.expired != "" {
		text += " " + o.expired
	}
	if o.times != nil {
		text += fmt.Sprint(" times ", o.times)
	}
	return text
}

// of sets the value of the outcome to a description of the call's argument.
func (o outcome) of(what string) outcome {
	o.value = what
	return o
}

// Equal compares values like reflect.DeepEqual, except for NaN and -0.
func Equal(a, b any) bool {
	switch a := a.(type) {
	case float64:
		b, ok := b.(float64)
		return ok && math.Float64bits(a) == math.Float64bits(b)
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, Equal)
	}
	return reflect.DeepEqual(a, b)
}

// Shown returns the values that a session shows.
func Shown(ctx context.Context, s session.Session) (map[string]any, error) {
	all, err := session.All(ctx, s)
	if err != nil {
		return nil, err
	}
	return maps.Collect(all), nil
}

func failedWith(err error) outcome {
	o := outcome{token: -1}
	for name, is := range sentinels {
		if errors.Is(err, is) {
			o.errors = append(o.errors, name)
		}
	}
	slices.Sort(o.errors)
	if err != nil && o.errors == nil {
		o.errors = []string{"another"}
	}
	return o
}

// opened is keep for a call that reports which deadline has passed.
func (r *Subject) opened(s session.Session, err error, st Step) outcome {
	o := r.keep(s, err, st)
	o.errors = slices.DeleteFunc(o.errors, func(name string) bool {
		is := strings.HasPrefix(name, "ErrExpired")
		if is {
			o.expired = name
		}
		return is
	})
	return o
}

// describe returns the infos as text, and their times.
func (r *Subject) describe(infos ...session.Info) (text string, times []time.Duration) {
	var all []string
	for _, i := range infos {
		began := i.CreatedAt
		if i.User != "" {
			began = i.AuthenticatedAt
		}
		idle := time.Duration(0) // if both deadlines are equal, only the time of the call counts
		if i.IdleDeadline.Before(i.AbsoluteDeadline) {
			idle = i.IdleDeadline.Sub(i.LastSeen).Round(time.Second)
		}
		all = append(all, r.named(fmt.Sprint(i.ID, i.User, i.Level, idle, i.AbsoluteDeadline.Sub(began),
			i.LastSeen.Before(began), i.AuthenticatedAt.IsZero(), i.Bound, i.ProvedUntil.IsZero(), i.RotatedAt.Before(began), i.Persistent, i.UserAgent, i.Address, i.Current)))
		if !r.Epoch.IsZero() {
			for _, at := range []time.Time{i.CreatedAt, i.LastSeen, i.IdleDeadline, i.AbsoluteDeadline, i.RotatedAt, i.AuthenticatedAt, i.ProvedUntil} {
				times = append(times, max(-1, at.Sub(r.Epoch)))
			}
		}
	}
	if r.Epoch.IsZero() {
		slices.Sort(all) // the order of two sessions may depend on less than a millisecond
	}
	return strings.Join(all, " "), times
}
