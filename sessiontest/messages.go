package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/mist-contrib/session"
)

// violation returns the message for a broken rule. An invariant may be empty.
func violation(err error, rule, invariant string) string {
	text := fmt.Sprintf("broken rule: %s\n%v", rule, err)
	if invariant != "" {
		text += "\ninvariant: " + invariant
	}
	return text
}

// distinct removes repeated lines from an error, and shortens a long one: many goroutines,
// or several ways to load a session, report the same.
func distinct(err error) error {
	if err == nil {
		return nil
	}
	const most = 8
	var lines []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	if more := len(lines) - most; more > 1 {
		lines = append(lines[:most], fmt.Sprintf("and %d more lines like these", more))
	}
	return errors.New(strings.Join(lines, "\n"))
}

// wrong says that a call returned got and had to return want, which is nil for success.
func wrong(got, want error, call string, args ...any) error {
	return unexpected(got, named(want), call, args...)
}

// unexpected says that a call returned got, and what it had to return.
func unexpected(got error, want, call string, args ...any) error {
	call = fmt.Sprintf(call, args...)
	if got == nil {
		return fmt.Errorf("%s: got no error, want %s", call, want)
	}
	return fmt.Errorf("%s: got the error \"%w\", want %s", call, got, want)
}

// named returns the Go name of an error of the session package.
func named(err error) string {
	if err == nil {
		return "no error"
	}
	for name, known := range map[string]error{
		"session.ErrNotFound":      session.ErrNotFound,
		"session.ErrExists":        session.ErrExists,
		"session.ErrInvalidID":     session.ErrInvalidID,
		"session.ErrInvalidUser":   session.ErrInvalidUser,
		"session.ErrValue":         session.ErrValue,
		"session.ErrTooLarge":      session.ErrTooLarge,
		"session.ErrFull":          session.ErrFull,
		"session.ErrUserLimit":     session.ErrUserLimit,
		"session.ErrRevoked":       session.ErrRevoked,
		"session.ErrReused":        session.ErrReused,
		"session.ErrBound":         session.ErrBound,
		"session.ErrUnbound":       session.ErrUnbound,
		"session.ErrUnproved":      session.ErrUnproved,
		"session.ErrReplayed":      session.ErrReplayed,
		"context.Canceled":         context.Canceled,
		"context.DeadlineExceeded": context.DeadlineExceeded,
		"errors.ErrUnsupported":    errors.ErrUnsupported,
	} {
		if err == known { //nolint:errorlint // the name of exactly this value
			return name
		}
	}
	return fmt.Sprintf("the error %q", err)
}

// differs says that a value is got and had to be want.
func differs(what string, got, want any) error {
	g, w := show(got), show(want)
	if g == w {
		g = "another value that prints the same"
	}
	return fmt.Errorf("%s: got %s, want %s", what, g, w)
}

// described says that Describe returned another session.Info than it had to.
func described(format string, args ...any) error {
	return errors.New("Describe" + fmt.Sprintf(format, args...))
}

// show prints a value with its type, as Go source where possible, so that nil differs from
// empty and 1 from int64(1).
func show(v any) string {
	var text string
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return "nil"
	case reflect.Bool, reflect.String, reflect.Slice, reflect.Map, reflect.Pointer, reflect.Struct:
		text = fmt.Sprintf("%#v", v)
		if t, ok := v.(time.Time); ok {
			text = "time.Time(" + t.Format(time.RFC3339Nano) + ")"
		}
	default:
		text = fmt.Sprintf("%T(%v)", v, v)
	}
	if len(text) > 200 {
		return fmt.Sprintf("%s that prints as %d characters", typeOf(v), len(text))
	}
	return text
}

// typeOf names the type of a value that does not print well.
func typeOf(v any) string {
	if v == nil {
		return "nil"
	}
	return fmt.Sprintf("a value of type %T", v)
}

// short shortens a key or an id for a message.
func short(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// same compares dynamic type and content. Two times are the same if they are the same
// instant at the same offset.
func same(got, want any) bool {
	g, ok := got.(time.Time)
	w, ok2 := want.(time.Time)
	if ok && ok2 {
		_, offset := g.Zone()
		_, offset2 := w.Zone()
		return g.Equal(w) && offset == offset2
	}
	return reflect.DeepEqual(got, want)
}

// ownError describes the error that a call with a bad argument has to return.
const ownError = "an error that does not match session.ErrNotFound"

// sameInfo reports an error for each field in which two descriptions differ.
func sameInfo(call string, got, want session.Info) error {
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	var errs []error
	for i := range g.NumField() {
		if g, w := g.Field(i).Interface(), w.Field(i).Interface(); g != w {
			errs = append(errs, differs(call+": "+reflect.TypeFor[session.Info]().Field(i).Name, g, w))
		}
	}
	return errors.Join(errs...)
}
