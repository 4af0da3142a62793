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

// An instructions is what a browser is told about its session.
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

// instruct tells the browser about the session whose cookie is in the response, and gives
// it the challenge of the next refresh.
func (h *Handler) instruct(ctx *mist.Context, s session.Session) {
	header := ctx.ResponseWriter.Header()
	name, attributes, err := bound(header, session.Token(s))
	if err == nil {
		var info session.Info
		if info, err = session.Describe(s); err == nil {
			err = offer(ctx, name, s, info.RotatedAt) // the token was made just now
		}
	}
	if err != nil { // a browser that cannot refresh the cookie must not have it
		header.Del("Set-Cookie")
		ctx.RespStatusCode = http.StatusInternalServerError
		return
	}
	_, refresh := h.Manager.DevicePaths()
	// The browser knows a binding by the name of its cookie, so that the next login's takes
	// its place. Under the id of the session there could be two for one cookie, and the
	// browser would become who it was before.
	in := instructions{
		SessionIdentifier: name, RefreshURL: refresh + "?" + parameter + "=" + s.ID(),
		Credentials: []credential{{"cookie", name, attributes}},
	}
	for _, path := range h.Exclude {
		in.Scope.Specification = append(in.Scope.Specification, rule{"exclude", "*", path})
	}
	answer(ctx, in)
}

// bound returns the name and the attributes of the cookie that carries a token, as the
// browser has to be told them.
func bound(header http.Header, carried string) (name, attributes string, err error) {
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

// answer answers with JSON.
func answer(ctx *mist.Context, body any) {
	data, err := json.Marshal(body)
	if err != nil { // strings only
		ctx.RespStatusCode = http.StatusInternalServerError
		return
	}
	ctx.ResponseWriter.Header().Set("Content-Type", "application/json")
	ctx.RespStatusCode, ctx.RespData = http.StatusOK, data
}
