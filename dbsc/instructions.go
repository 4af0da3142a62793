package dbsc

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

var errNoCookie = errors.New("dbsc: the Manager set no cookie")

// The instructions tell a browser how to refresh the cookie of its session.
type instructions struct {
	SessionIdentifier string       `json:"session_identifier"`
	RefreshURL        string       `json:"refresh_url"`
	Scope             scope        `json:"scope"`
	Credentials       []credential `json:"credentials"`
}

type scope struct {
	IncludeSite   bool   `json:"include_site"`
	Specification []rule `json:"scope_specification,omitempty"`
}

type rule struct {
	Type   string `json:"type"`
	Domain string `json:"domain"`
	Path   string `json:"path"`
}

type credential struct {
	Type       string `json:"type"`
	Name       string `json:"name"`
	Attributes string `json:"attributes"`
}

// instruct sends the instructions for the cookie in the response, with the challenge for the
// next refresh.
func (h *Handler) instruct(ctx *mist.Context, s session.Session) {
	header := ctx.ResponseWriter.Header()
	name, attributes, err := boundCookie(header, session.Token(s))
	if err == nil {
		var info session.Info
		if info, err = session.Describe(s); err == nil {
			err = setChallenge(ctx, name, s, info.RotatedAt) // the token was made just now
		}
	}
	if err != nil { // without instructions the browser could not refresh the cookie
		header.Del("Set-Cookie")
		ctx.RespStatusCode = http.StatusInternalServerError
		return
	}
	_, refresh := h.Manager.DevicePaths()
	// The binding is named after its cookie, so that the binding of the next login replaces
	// it. If it were named after the session, two bindings could set the same cookie, and the
	// older one could bring back the previous user.
	in := instructions{
		SessionIdentifier: name, RefreshURL: refresh + "?" + idParameter + "=" + s.ID(),
		Credentials: []credential{{"cookie", name, attributes}},
	}
	for _, path := range h.Exclude {
		in.Scope.Specification = append(in.Scope.Specification, rule{"exclude", "*", path})
	}
	answer(ctx, in)
}

// boundCookie returns the name of the cookie that carries the token, and its attributes in
// the form that instructions need.
func boundCookie(header http.Header, carried string) (name, attributes string, err error) {
	for _, line := range header["Set-Cookie"] {
		pair, rest, _ := strings.Cut(line, ";")
		name, value, _ := strings.Cut(pair, "=")
		if value != carried {
			continue
		}
		var kept []string
		for attribute := range strings.SplitSeq(rest, ";") {
			attribute = strings.TrimSpace(attribute)
			if key, _, _ := strings.Cut(strings.ToLower(attribute), "="); key != "max-age" && key != "expires" {
				kept = append(kept, attribute)
			}
		}
		return name, strings.Join(kept, "; "), nil
	}
	return "", "", errNoCookie
}

func answer(ctx *mist.Context, body any) {
	data, err := json.Marshal(body)
	if err != nil { // cannot happen: every body has only strings
		ctx.RespStatusCode = http.StatusInternalServerError
		return
	}
	ctx.ResponseWriter.Header().Set("Content-Type", "application/json")
	ctx.RespStatusCode, ctx.RespData = http.StatusOK, data
}
