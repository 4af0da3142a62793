package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

func (a api) me(ctx *mist.Context, s session.Session) (any, error) {
	user, err := a.sessions.User(ctx)
	if err != nil {
		return nil, err
	}
	all, _, err := notes.Get(ctx.Request.Context(), s)
	return struct {
		User  string   `json:"user"`
		Notes []string `json:"notes"`
	}{user, all}, err
}

func (api) note(ctx *mist.Context, s session.Session) (v any, err error) {
	var text string
	if err := decode(ctx, &text); err != nil {
		return nil, err
	}
	// Update loses no note if two arrive at the same time.
	err = notes.Update(ctx.Request.Context(), s, func(all []string) ([]string, error) {
		all = append(all, text)
		v = all
		return all, nil
	})
	return v, err
}

// A device is the part of a session that its user sees.
type device struct {
	ID      string `json:"id"`
	Device  string `json:"device"`
	Current bool   `json:"current"`
}

func (a api) list(ctx *mist.Context, _ session.Session) (any, error) {
	user, err := a.sessions.User(ctx)
	if err != nil {
		return nil, err
	}
	infos, err := a.sessions.UserSessions(ctx, user)
	all := make([]device, 0, len(infos))
	for _, info := range infos {
		all = append(all, device{info.ID, info.UserAgent, info.Current})
	}
	return all, err
}

var errMalformed = errors.New("not the JSON that was expected")

func decode(ctx *mist.Context, v any) error {
	if err := json.NewDecoder(ctx.Request.Body).Decode(v); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	return nil
}

// reply answers with a value, with no content, or with an error.
func reply(ctx *mist.Context, v any, err error) {
	switch {
	case err != nil:
		fail(ctx, err)
	case v == nil:
		ctx.ResponseWriter.WriteHeader(http.StatusNoContent)
	default:
		send(ctx, http.StatusOK, v)
	}
}

// fail answers with an error. If the store is down, the client may well be logged in, so
// the answer must not tell it to log in.
func fail(ctx *mist.Context, err error) {
	status, text := http.StatusServiceUnavailable, "try again later"
	switch {
	case errors.Is(err, session.ErrNotFound):
		ctx.ResponseWriter.Header().Set("WWW-Authenticate", "Bearer")
		status, text = http.StatusUnauthorized, "log in first"
	case errors.Is(err, errMalformed):
		status, text = http.StatusBadRequest, errMalformed.Error()
	case errors.Is(err, session.ErrTooLarge):
		status, text = http.StatusRequestEntityTooLarge, "that is too much"
	default:
		log.Print(err)
	}
	send(ctx, status, map[string]string{"error": text})
}

func send(ctx *mist.Context, status int, v any) {
	h := ctx.ResponseWriter.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	ctx.ResponseWriter.WriteHeader(status)
	_ = json.NewEncoder(ctx.ResponseWriter).Encode(v) // fails if the client has gone
}
