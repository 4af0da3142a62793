package dbsc

import (
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
)

// Headers of the protocol.
const (
	headerProof     = "Secure-Session-Response"
	headerSession   = "Sec-Secure-Session-Id"
	headerChallenge = "Secure-Session-Challenge"

	parameter = "session" // of the refresh URL: the id
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
	ctx := &mist.Context{Request: req, ResponseWriter: w, RespStatusCode: http.StatusNotFound}
	var register, refresh string
	if h != nil && h.Manager != nil {
		register, refresh = h.Manager.DevicePaths()
	}
	switch path := req.URL.Path; {
	case path != register && path != refresh:
	case req.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		ctx.RespStatusCode = http.StatusMethodNotAllowed
	case path == register:
		h.Register(ctx)
	default:
		h.Refresh(ctx)
	}
	w.WriteHeader(ctx.RespStatusCode)
	_, _ = w.Write(ctx.RespData) // the browser may have left
}

// begin is the start of both answers. It keeps them from caches and from other sites.
func (h *Handler) begin(ctx *mist.Context) (ok bool) {
	if ctx == nil || ctx.Request == nil || ctx.ResponseWriter == nil {
		return false
	}
	header := ctx.ResponseWriter.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("X-Content-Type-Options", "nosniff")
	if h.Check() != nil {
		ctx.RespStatusCode = http.StatusInternalServerError
		return false
	}
	return true
}

// Register answers a browser that binds the session of its request. 200 and the
// instructions: it is bound. 400: the request carries no proof. 401: nobody is logged
// in. 403: the proof is not good, the session is bound already, or its login is over
// two minutes ago. 503: the store failed. After all but the first the session goes on as
// it was. The server of the context sends the answer.
func (h *Handler) Register(ctx *mist.Context) {
	if !h.begin(ctx) {
		return
	}
	proof, ok := field(ctx.Request.Header, headerProof)
	if !ok {
		ctx.RespStatusCode = http.StatusBadRequest
		return
	}
	// A script of the page can set the header, too, but not without cors. It has no
	// business with keys: it could take its own away from here.
	if mode := ctx.Request.Header.Get("Sec-Fetch-Mode"); mode != "" && mode != "no-cors" {
		ctx.RespStatusCode = http.StatusForbidden
		return
	}
	s, err := h.Manager.BindDevice(ctx, func(challenge string) (string, error) {
		return register(proof, challenge)
	})
	switch {
	case err == nil:
		h.instruct(ctx, s)
	case errors.Is(err, session.ErrNotFound):
		ctx.RespStatusCode = http.StatusUnauthorized
	case errors.Is(err, ErrProof), errors.Is(err, session.ErrBound), errors.Is(err, session.ErrReauthenticate),
		errors.Is(err, session.ErrFull), errors.Is(err, errors.ErrUnsupported):
		ctx.RespStatusCode = http.StatusForbidden
	default:
		ctx.RespStatusCode = http.StatusServiceUnavailable
	}
}

// Refresh answers a browser whose cookie has ended, or soon will. 200 and the
// instructions: it has another. 403 and a challenge: it has to sign that. 200 and
// instructions to stop: the session has ended. 400: the request names no session. 429: it
// has been given too many tokens. 503: the store failed, and the browser tries again
// later. The server of the context sends the answer.
func (h *Handler) Refresh(ctx *mist.Context) {
	if !h.begin(ctx) {
		return
	}
	name, ok := field(ctx.Request.Header, headerSession)
	id := ctx.Request.URL.Query().Get(parameter)
	if !ok || !token.ValidID(id) {
		ctx.RespStatusCode = http.StatusBadRequest
		return
	}
	if len(ctx.Request.Header.Values(headerProof)) == 0 {
		h.challenge(ctx, name, id)
		return
	}
	proof, _ := field(ctx.Request.Header, headerProof) // empty: malformed
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
		h.challenge(ctx, name, id)
	default:
		h.failed(ctx, name, err)
	}
}

// challenge asks the browser for a proof. name is what it knows the binding by.
func (h *Handler) challenge(ctx *mist.Context, name, id string) {
	s, err := h.Manager.Get(ctx.Request.Context(), id)
	var now time.Time
	if err == nil {
		now, err = session.Now(ctx.Request.Context(), s)
	}
	if err == nil {
		err = offer(ctx, name, s, now)
	}
	if err != nil {
		h.failed(ctx, name, err)
		return
	}
	ctx.RespStatusCode = http.StatusForbidden
}

// offer puts a challenge for the device of s into the response.
func offer(ctx *mist.Context, name string, s session.Session, now time.Time) error {
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
	ctx.ResponseWriter.Header().Set(headerChallenge, `"`+d.challenge(s.ID(), now)+`";id="`+name+`"`)
	return nil
}

// failed answers a refresh that got nowhere.
func (h *Handler) failed(ctx *mist.Context, name string, err error) {
	switch {
	case errors.Is(err, session.ErrNotFound), errors.Is(err, session.ErrUnbound):
		answer(ctx, map[string]any{"session_identifier": name, "continue": false})
	case errors.Is(err, session.ErrFull):
		ctx.RespStatusCode = http.StatusTooManyRequests
	default:
		ctx.RespStatusCode = http.StatusServiceUnavailable
	}
}
