package dbsc

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/token"
)

// A Handler answers the browser's two requests: for a registration, and for a refresh of
// the cookie. Mount serves them in a mist server; as an [http.Handler] it serves them
// elsewhere. It is safe for concurrent use; its fields must not change after the first
// call.
//
// A refresh asks the store three times: for the session, for the time, and for the new
// token.
type Handler struct {
	// Manager is the one whose logins are bound. Its DeviceBound must not be zero.
	Manager *session.Manager

	// Exclude are paths of the site that the browser asks for without waiting for a
	// fresh cookie, with all that is below them, such as "/static". Name those that need
	// no session: each request in scope can cost a signature, and browsers make few of
	// them. Letters, digits and -._~/ only.
	Exclude []string
}

var (
	_ http.Handler = (*Handler)(nil)

	errNoManager = errors.New("dbsc: Handler.Manager is nil")
	errUnbound   = errors.New("dbsc: Manager.DeviceBound is zero")
	errExclude   = errors.New("dbsc: Exclude has a path that does not begin with /, or with characters that are not allowed")
	errNoCookie  = errors.New("dbsc: the Manager set no cookie")
)

// Headers of the protocol.
const (
	headerProof     = "Secure-Session-Response"
	headerSession   = "Sec-Secure-Session-Id"
	headerChallenge = "Secure-Session-Challenge"
)

// Check reports what is wrong with the fields and with the Manager.
func (h *Handler) Check() error {
	if h == nil || h.Manager == nil {
		return errNoManager
	}
	if h.Manager.DeviceBound == 0 {
		return errUnbound
	}
	for _, path := range h.Exclude {
		if !strings.HasPrefix(path, "/") || strings.Trim(path, "/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") != "" {
			return errExclude
		}
	}
	return h.Manager.Check()
}

// Mount serves the two requests in a server, at the paths of the Manager. It panics where
// Check reports an error.
func (h *Handler) Mount(server interface {
	POST(path string, handle mist.HandleFunc, middlewares ...mist.Middleware)
},
) {
	if err := h.Check(); err != nil {
		panic(err)
	}
	register, refresh := h.Manager.DevicePaths()
	server.POST(register, h.Register)
	server.POST(refresh, h.Refresh)
}

// ServeHTTP serves the two requests, whose paths are those of the Manager; anything else
// is 404, and what is no POST is 405.
func (h *Handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if err := h.Check(); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	ctx := &mist.Context{Request: req, ResponseWriter: w}
	register, refresh := h.Manager.DevicePaths()
	switch {
	case req.URL.Path != register && req.URL.Path != refresh:
		w.WriteHeader(http.StatusNotFound)
	case req.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
	case req.URL.Path == register:
		h.Register(ctx)
	default:
		h.Refresh(ctx)
	}
}

// Register answers a browser that binds the session of its request. 200 and the
// instructions: it is bound. 400: the request carries no proof. 401: nobody is logged
// in. 403: the proof is not good, the session is bound already, or its login is over
// two minutes ago. 503: the store failed. After all but the first the session goes on as
// it was.
func (h *Handler) Register(ctx *mist.Context) {
	quiet(ctx.ResponseWriter)
	proof, ok := field(ctx.Request.Header, headerProof)
	if !ok {
		ctx.ResponseWriter.WriteHeader(http.StatusBadRequest)
		return
	}
	s, err := h.Manager.BindDevice(ctx, func(challenge string) (string, error) {
		return register(proof, challenge)
	})
	switch {
	case err == nil:
		h.instruct(ctx, s)
	case errors.Is(err, session.ErrNotFound):
		ctx.ResponseWriter.WriteHeader(http.StatusUnauthorized)
	case errors.Is(err, ErrProof), errors.Is(err, session.ErrBound), errors.Is(err, session.ErrReauthenticate), errors.Is(err, errors.ErrUnsupported):
		ctx.ResponseWriter.WriteHeader(http.StatusForbidden)
	default:
		ctx.ResponseWriter.WriteHeader(http.StatusServiceUnavailable)
	}
}

// Refresh answers a browser whose cookie has ended, or soon will. 200 and the
// instructions: it has another. 403 and a challenge: it has to sign that. 200 and
// instructions to stop: the session has ended. 400: the request names no session. 429: it
// has been given too many tokens. 503: the store failed, and the browser tries again
// later.
func (h *Handler) Refresh(ctx *mist.Context) {
	quiet(ctx.ResponseWriter)
	id, ok := field(ctx.Request.Header, headerSession)
	if !ok || !token.ValidID(id) {
		ctx.ResponseWriter.WriteHeader(http.StatusBadRequest)
		return
	}
	proof, proves := field(ctx.Request.Header, headerProof)
	if !proves {
		h.challenge(ctx, id)
		return
	}
	s, err := h.Manager.ProveDevice(ctx, id, func(stored string, now time.Time) (string, error) {
		d, err := parseDevice(stored)
		if err != nil {
			return "", err
		}
		return d.proved(proof, id, now)
	})
	switch {
	case err == nil:
		h.instruct(ctx, s)
	case errors.Is(err, ErrProof), errors.Is(err, session.ErrReplayed):
		h.challenge(ctx, id)
	default:
		h.failed(ctx, id, err)
	}
}

// challenge asks the browser for a proof.
func (h *Handler) challenge(ctx *mist.Context, id string) {
	s, err := h.Manager.Get(ctx.Request.Context(), id)
	if err == nil {
		err = h.offer(ctx, s)
	}
	if err != nil {
		h.failed(ctx, id, err)
		return
	}
	ctx.ResponseWriter.WriteHeader(http.StatusForbidden)
}

// offer puts a challenge for the device of s into the response.
func (h *Handler) offer(ctx *mist.Context, s session.Session) error {
	stored, err := session.DeviceOf(s)
	if err != nil {
		return err
	}
	if stored == "" {
		return session.ErrUnbound
	}
	d, err := parseDevice(stored)
	if err != nil {
		return err
	}
	now, err := session.Now(ctx.Request.Context(), s)
	if err != nil {
		return err
	}
	ctx.ResponseWriter.Header().Set(headerChallenge, `"`+d.challenge(s.ID(), now)+`";id="`+s.ID()+`"`)
	return nil
}

// failed answers a refresh that got nowhere.
func (h *Handler) failed(ctx *mist.Context, id string, err error) {
	switch {
	case errors.Is(err, session.ErrNotFound), errors.Is(err, session.ErrUnbound):
		answer(ctx, map[string]any{"session_identifier": id, "continue": false})
	case errors.Is(err, session.ErrFull):
		ctx.ResponseWriter.WriteHeader(http.StatusTooManyRequests)
	default:
		ctx.ResponseWriter.WriteHeader(http.StatusServiceUnavailable)
	}
}

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

// instruct tells the browser about the session whose cookie is in the response.
func (h *Handler) instruct(ctx *mist.Context, s session.Session) {
	name, attributes, err := bound(ctx.ResponseWriter.Header(), session.Token(s))
	if err == nil {
		err = h.offer(ctx, s)
	}
	if err != nil {
		ctx.ResponseWriter.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	_, refresh := h.Manager.DevicePaths()
	in := instructions{
		SessionIdentifier: s.ID(), RefreshURL: refresh,
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

func answer(ctx *mist.Context, body any) {
	data, err := json.Marshal(body)
	if err != nil { // strings only
		ctx.ResponseWriter.WriteHeader(http.StatusInternalServerError)
		return
	}
	ctx.ResponseWriter.Header().Set("Content-Type", "application/json")
	_, _ = ctx.ResponseWriter.Write(data)
}

// quiet keeps an answer from caches and from other sites.
func quiet(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}
