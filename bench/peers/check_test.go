package peers_test

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"testing"

	"github.com/mist-contrib/session/internal/redistest"
)

// check fails unless a site does the work that it is measured at.
func check(p *peer) error {
	if err := work(p); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return p.err()
}

func work(p *peer) error {
	b := p.browser()
	b.visit(none)
	keep(b)
	b = p.browser()
	b.visit(start)
	first := keep(b)
	if err := shows(p, first, guest()); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	b.visit(login)
	second := keep(b)
	if first == second {
		return fmt.Errorf("login: the cookie is the same")
	}
	if err := shows(p, first, nil); err != nil {
		return fmt.Errorf("login: the old cookie: %w", err)
	}
	if err := shows(p, second, ada()); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	b.visit(read)
	keep(b)
	b.visit(write)
	if c := keep(b); c != "" {
		second = c
	}
	written := ada()
	written["visits"] = p.writes.Load()
	if err := shows(p, second, written); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	b.visit(logout)
	if c := keep(b); c != "" || len(b.answer()) == 0 {
		return fmt.Errorf("logout: the browser still has a cookie")
	}
	if err := shows(p, second, nil); err != nil {
		return fmt.Errorf("logout: the old cookie: %w", err)
	}
	return nil
}

// shows fails unless a new browser with a cookie gets a session with the values, or none.
func shows(p *peer, cookie string, values map[string]any) error {
	for key := range ada() {
		b := p.browser()
		b.carry(cookie)
		b.visit(show + key)
		if err := p.err(); err != nil {
			return err
		}
		if values == nil && p.shown != nil || values != nil && fmt.Sprint(p.shown) != fmt.Sprint(values[key]) {
			return fmt.Errorf("%s is %v, want %v", key, p.shown, values[key])
		}
	}
	return nil
}

// TestPeers: all sites do the work that they are measured at.
func TestPeers(t *testing.T) {
	server := redistest.Start(t)
	for store, all := range map[string][]func(testing.TB) *peer{"memory": onMemory(), "redis": onRedis(server.Addr)} {
		for i, connect := range all {
			t.Run(store+"/"+strconv.Itoa(i), func(t *testing.T) {
				p := connect(t)
				if err := check(p); err != nil {
					t.Error(err)
				}
				p.close(t)
			})
		}
	}
}

// A toy is a library that can do one thing wrong.
type toy struct {
	wrong    string
	sessions map[string]map[string]any
}

func (l *toy) begin(c call, id string, values map[string]any) error {
	if l.wrong == "silent" {
		return nil
	}
	l.sessions[id] = maps.Clone(values)
	http.SetCookie(c.w, &http.Cookie{Name: "toy", Value: id})
	return nil
}

func (l *toy) open(c call) (string, map[string]any) {
	carried, err := c.r.Cookie("toy")
	if err != nil {
		return "", nil
	}
	return carried.Value, l.sessions[carried.Value]
}

func (l *toy) peer() *peer {
	l.sessions = make(map[string]map[string]any)
	return onNetHTTP(&peer{name: l.wrong}, library[call]{
		start: func(c call, values map[string]any) error { return l.begin(c, rand.Text(), values) },
		read: func(c call, key string) (any, error) {
			_, s := l.open(c)
			if l.wrong == "empty" {
				return nil, nil
			}
			if l.wrong == "failing" {
				return s[key], http.ErrNotSupported
			}
			return s[key], nil
		},
		write: func(c call, key string, v any) error {
			if _, s := l.open(c); l.wrong != "forgetful" {
				s[key] = v
			}
			return nil
		},
		login: func(c call, values map[string]any) error {
			old, _ := l.open(c)
			switch l.wrong {
			case "same id":
				return l.begin(c, old, values)
			case "two lives":
			case "late":
				values = map[string]any{"user": values["user"]}
				delete(l.sessions, old)
			default:
				delete(l.sessions, old)
			}
			return l.begin(c, rand.Text(), values)
		},
		logout: func(c call) error {
			id, _ := l.open(c)
			if l.wrong != "undead" {
				delete(l.sessions, id)
			}
			if l.wrong != "sticky" {
				http.SetCookie(c.w, &http.Cookie{Name: "toy", MaxAge: -1})
			}
			return nil
		},
	}, func(site http.Handler) http.Handler { return site })
}

// TestCheck: a site that does less than it is measured at is found out.
func TestCheck(t *testing.T) {
	for _, wrong := range []string{"", "silent", "empty", "failing", "forgetful", "same id", "two lives", "late", "undead", "sticky"} {
		if err := check((&toy{wrong: wrong}).peer()); (err != nil) != (wrong != "") {
			t.Errorf("%q: got %v", wrong, err)
		}
	}
}
