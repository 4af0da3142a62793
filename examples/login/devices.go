package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

// devicesPage is what the template "devices" shows.
type devicesPage struct {
	frame
	Devices  []session.Info
	Unlisted bool // the store cannot list the other devices
}

// devices shows users where they are logged in.
func (s site) devices(ctx *mist.Context, sess session.Session) error {
	f, err := newFrame(ctx, sess)
	if err != nil {
		return err
	}
	all, err := s.sessions.UserSessions(ctx, f.User)
	unlisted := errors.Is(err, errors.ErrUnsupported) // only the browsers have the sessions
	if unlisted {
		all = make([]session.Info, 1)
		all[0], err = session.Describe(sess)
		all[0].UserAgent, all[0].Current = ctx.Request.UserAgent(), true
	}
	if err != nil {
		return err
	}
	show(ctx, http.StatusOK, "devices", devicesPage{f, all, unlisted})
	return nil
}

// signOut ends one session, or all but the current one.
func (s site) signOut(ctx *mist.Context, sess session.Session) error {
	user, err := s.sessions.User(ctx)
	if err != nil {
		return err
	}
	message := "That device is signed out."
	if id := ctx.Request.PostFormValue("id"); id == "others" {
		var n int
		n, err = s.sessions.RemoveUserSessions(ctx, user, sess.ID())
		message = signedOut(n)
	} else if err = s.sessions.RemoveUserSession(ctx, user, id); errors.Is(err, session.ErrNotFound) {
		// The session has ended or belongs to another user. The answer must not tell which.
		message, err = "That device was signed out already.", nil
	}
	if err != nil {
		return err
	}
	return done(ctx, sess, "/devices", message)
}

func signedOut(n int) string {
	switch n {
	case 0:
		return "No other device is signed in any more."
	case 1:
		return "One other device is signed out."
	}
	return fmt.Sprintf("%d other devices are signed out.", n)
}

// deviceName returns a readable name for a User-Agent.
func deviceName(userAgent string) string {
	first := func(of ...string) string { // pairs of a pattern and its name
		for i := 0; i < len(of); i += 2 {
			if strings.Contains(userAgent, of[i]) {
				return of[i+1]
			}
		}
		return ""
	}
	browser := first("Edg", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "FxiOS/", "Firefox",
		"Chrome/", "Chrome", "CriOS/", "Chrome", "Safari/", "Safari", "curl/", "curl")
	system := first("iPhone", "iPhone", "iPad", "iPad", "Android", "Android", "Windows", "Windows",
		"Mac OS X", "macOS", "CrOS", "ChromeOS", "Linux", "Linux")
	switch {
	case browser == "" && system == "":
		return "Unknown device"
	case browser == "" || system == "":
		return browser + system
	}
	return browser + " on " + system
}

// ago says how long ago t was.
func ago(t time.Time) string {
	d := time.Since(t)
	for _, unit := range []struct {
		name string
		long time.Duration
	}{{"day", day}, {"hour", time.Hour}, {"minute", time.Minute}} {
		switch n := d / unit.long; {
		case n == 1:
			return "1 " + unit.name + " ago"
		case n > 1:
			return fmt.Sprintf("%d %ss ago", n, unit.name)
		}
	}
	return "just now"
}
