package header_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/header"
	"github.com/mist-contrib/session/sessiontest"
)

const id = "6ba7b810-9dad-41d1-80b4-00c04fd430c8.ABCDEFGHIJKLMNOPQRSTUVWXYZ"

func TestConformance(t *testing.T) {
	for _, name := range []string{"", "X-Session", "session"} {
		t.Run(name, func(t *testing.T) {
			sent := http.CanonicalHeaderKey(name)
			if sent == "" {
				sent = "Authorization"
			}
			sessiontest.TestPropagator(t, sessiontest.PropagatorHarness{
				New: func() session.Propagator { return &header.Propagator{Name: name} },
				Carry: func(response http.Header, next *http.Request) {
					if v := response.Get(sent); v != "" {
						next.Header.Set(sent, v)
					}
				},
			})
		})
	}
}

func TestExtract(t *testing.T) {
	for _, tt := range []struct {
		name   string // of the propagator
		header http.Header
		want   string
		err    error
	}{
		{"", http.Header{"Authorization": {"Bearer " + id}}, id, nil},
		{"", http.Header{"Authorization": {"bearer " + id}}, id, nil},
		{"", http.Header{"Authorization": {"BEARER   " + id}}, id, nil},
		{"", http.Header{}, "", session.ErrNotFound},
		{"", http.Header{"Authorization": {}}, "", session.ErrNotFound},
		{"", http.Header{"Authorization": {""}}, "", session.ErrNotFound},
		{"", http.Header{"Authorization": {"Bearer"}}, "", session.ErrNotFound},
		{"", http.Header{"Authorization": {"Bearer "}}, "", session.ErrNotFound},
		{"", http.Header{"Authorization": {"Bearer\t" + id}}, "", session.ErrNotFound},
		{"", http.Header{"Authorization": {"Bearer" + id}}, "", session.ErrNotFound},
		{"", http.Header{"Authorization": {"Basic " + id}}, "", session.ErrNotFound},
		{"", http.Header{"Authorization": {id}}, "", session.ErrNotFound},
		{"", http.Header{"Authorization": {"Bearer a b"}}, "", session.ErrNotFound},
		{"", http.Header{"Authorization": {`Bearer "` + id + `"`}}, "", session.ErrNotFound},
		{"", http.Header{"Authorization": {"Bearer " + id + ", Bearer " + id}}, "", session.ErrNotFound},
		{"", http.Header{"Authorization": {"Bearer é"}}, "", session.ErrNotFound},
		{"", http.Header{"Authorization": {"Bearer " + strings.Repeat("A", 1<<20)}}, "", session.ErrNotFound},
		{"", http.Header{"Authorization": {"Bearer " + id, "Bearer " + id}}, "", session.ErrMultiple},
		{"", http.Header{"Authorization": {"Basic x", "Bearer " + id}}, "", session.ErrMultiple},
		{"", http.Header{"X-Session": {id}, "Cookie": {"session=" + id}}, "", session.ErrNotFound},
		{"x-session", http.Header{"X-Session": {id}}, id, nil},
		{"x-session", http.Header{"X-Session": {"Bearer " + id}}, "", session.ErrNotFound},
		{"x-session", http.Header{"X-Session": {""}}, "", session.ErrNotFound},
		{"x-session", http.Header{"X-Session": {" " + id}}, "", session.ErrNotFound},
		{"x-session", http.Header{"Authorization": {"Bearer " + id}}, "", session.ErrNotFound},
	} {
		got, err := (&header.Propagator{Name: tt.name}).Extract(&http.Request{Header: tt.header})
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%.99q: got %.99q, %v, want %q, %v", tt.header, got, err, tt.want, tt.err)
		}
	}
}

func TestInject(t *testing.T) {
	rec := httptest.NewRecorder()
	rec.Header().Set("Vary", "Accept, authorization")
	p := new(header.Propagator)
	if err := p.Inject(id, rec); err != nil {
		t.Fatal(err)
	}
	want := http.Header{"Authorization": {"Bearer " + id}, "Cache-Control": {"no-store"}, "Vary": {"Accept, authorization"}}
	equal(t, rec.Header(), want)
	if err := p.Remove(rec); err != nil {
		t.Fatal(err)
	}
	want["Authorization"] = []string{""}
	equal(t, rec.Header(), want)
}

func equal(t *testing.T, got, want http.Header) {
	t.Helper()
	var g, w strings.Builder
	if err := errors.Join(got.Write(&g), want.Write(&w)); err != nil {
		t.Fatal(err)
	}
	if g.String() != w.String() {
		t.Errorf("got %q, want %q", g.String(), w.String())
	}
}

func TestCheck(t *testing.T) {
	for name, good := range map[string]bool{
		"": true, "X-Session": true, "session_id": true, "x!#$%&'*+-.^_`|~9": true,
		"Authorization": false, "cookie": false, "Set-Cookie": false, "vary": false, "Content-Length": false,
		"X Session": false, "X:": false, "é": false, "X\r\nY": false, "X\x00": false, "x/y": false,
	} {
		p := &header.Propagator{Name: name}
		rec := httptest.NewRecorder()
		_, extract := p.Extract(httptest.NewRequest(http.MethodGet, "/", nil))
		if err := p.Check(); (err == nil) != good {
			t.Errorf("%q: got %v, want good %v", name, err, good)
		} else if !good && (p.Inject(id, rec) == nil || p.Remove(rec) == nil || errors.Is(extract, session.ErrNotFound) || len(rec.Header()) > 0) {
			t.Errorf("%q: is used all the same", name)
		}
	}
	var missing *header.Propagator
	if missing.Check() == nil || missing.Inject(id, httptest.NewRecorder()) == nil {
		t.Error("nil: got no error")
	}
}
