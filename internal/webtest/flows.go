package webtest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing/iotest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

// An OutageError is the failure of a store.
type OutageError struct{ Op string }

func (*OutageError) Error() string { return "connection refused" }

// A Flow is a call of the Manager for a browser that has a session.
type Flow struct {
	Name  string
	Call  func(m *session.Manager, ctx *mist.Context) error
	Store []string // the calls of a token store that it makes, in order
	Plain []string // and those of a plain store; nil: a plain store does not support the flow
	Sets  int      // number of Set-Cookie lines in the response
}

// Flows are the flows of the Manager.
var Flows = []Flow{
	{"InitSession", func(m *session.Manager, ctx *mist.Context) error {
		s, err := m.InitSession(ctx)
		if (s == nil) != (err != nil) {
			return fmt.Errorf("session %t beside error %w", s != nil, err)
		}
		return err
	}, []string{"Generate"}, []string{"Generate"}, 1},
	{"GetSession", func(m *session.Manager, ctx *mist.Context) error {
		s, err := m.GetSession(ctx)
		if (s == nil) != (err != nil) {
			return fmt.Errorf("session %t beside error %w", s != nil, err)
		}
		return err
	}, []string{"Open"}, []string{"Get"}, 0},
	{"RefreshSession", (*session.Manager).RefreshSession, []string{"Open", "Refresh"}, []string{"Get", "Refresh"}, 1},
	{"RotateSession", (*session.Manager).RotateSession, []string{"Open", "Rotate"}, nil, 1},
	{"RemoveSession", (*session.Manager).RemoveSession, []string{"Open", "Remove"}, []string{"Get", "Remove"}, 1},
}

// A Write is something that a handler does with its response. Out tells whether that sends the
// header.
type Write struct {
	Name string
	Out  bool
	Do   func(ctx *mist.Context)
}

// Writes are the ways in which a handler can write a response.
var Writes = []Write{
	{"nothing", false, func(*mist.Context) {}},
	{"Header", false, func(ctx *mist.Context) { ctx.Header("X-Test", "1") }},
	{"RespData", false, func(ctx *mist.Context) { ctx.RespData = []byte("later") }},
	{"Write", true, func(ctx *mist.Context) { _, _ = ctx.ResponseWriter.Write([]byte("x")) }},
	{"Write of nothing", true, func(ctx *mist.Context) { _, _ = ctx.ResponseWriter.Write(nil) }},
	{"WriteString", true, func(ctx *mist.Context) { _, _ = io.WriteString(ctx.ResponseWriter, "x") }},
	{"WriteHeader 200", true, func(ctx *mist.Context) { ctx.ResponseWriter.WriteHeader(http.StatusOK) }},
	{"WriteHeader 304", true, func(ctx *mist.Context) { ctx.ResponseWriter.WriteHeader(http.StatusNotModified) }},
	{"WriteHeader 500", true, func(ctx *mist.Context) { ctx.ResponseWriter.WriteHeader(http.StatusInternalServerError) }},
	{"WriteHeader 103", false, func(ctx *mist.Context) { ctx.ResponseWriter.WriteHeader(http.StatusEarlyHints) }},
	{"WriteHeader 102 twice", false, func(ctx *mist.Context) {
		ctx.ResponseWriter.WriteHeader(http.StatusProcessing)
		ctx.ResponseWriter.WriteHeader(http.StatusProcessing)
	}},
	{"Flush", true, func(ctx *mist.Context) { ctx.ResponseWriter.(http.Flusher).Flush() }},
	{"ResponseController.Flush", true, func(ctx *mist.Context) {
		_ = http.NewResponseController(ctx.ResponseWriter).Flush()
	}},
	{"ResponseController.Flush through a wrapper", true, func(ctx *mist.Context) {
		_ = http.NewResponseController(UnwrappingWriter{ctx.ResponseWriter}).Flush()
	}},
	{"io.Copy", true, func(ctx *mist.Context) { _, _ = io.Copy(ctx.ResponseWriter, OnlyReader{strings.NewReader("x")}) }},
	{"io.Copy of nothing", false, func(ctx *mist.Context) { _, _ = io.Copy(ctx.ResponseWriter, OnlyReader{strings.NewReader("")}) }},
	{"io.Copy of a reader that fails", false, func(ctx *mist.Context) {
		_, _ = io.Copy(ctx.ResponseWriter, iotest.ErrReader(errors.New("disk")))
	}},
	{"Write, then io.Copy of nothing", true, func(ctx *mist.Context) {
		_, _ = ctx.ResponseWriter.Write([]byte("x"))
		_, _ = io.Copy(ctx.ResponseWriter, OnlyReader{strings.NewReader("")})
	}},
	{"RespondWithJSON", true, func(ctx *mist.Context) { _ = ctx.RespondWithJSON(http.StatusOK, 1) }},
	{"AbortWithStatus", true, func(ctx *mist.Context) { ctx.AbortWithStatus(http.StatusForbidden) }},
	{"http.Redirect", true, func(ctx *mist.Context) {
		http.Redirect(ctx.ResponseWriter, ctx.Request, "/", http.StatusFound)
	}},
	{"http.Error", true, func(ctx *mist.Context) { http.Error(ctx.ResponseWriter, "no", http.StatusTeapot) }},
	{"http.ServeContent", true, func(ctx *mist.Context) {
		http.ServeContent(ctx.ResponseWriter, ctx.Request, "a.txt", time.Time{}, strings.NewReader("x"))
	}},
	{"SetWriteDeadline", false, func(ctx *mist.Context) {
		_ = http.NewResponseController(ctx.ResponseWriter).SetWriteDeadline(time.Now().Add(time.Hour))
	}},
}
