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

// A Handler answers the browser's two requests: to register a device, and to refresh the
// cookie. Mount adds it to a mist server; other servers can use it as an [http.Handler]. It
// is safe for concurrent use; its fields must not change after the first call.
//
// A refresh makes three calls to the store: for the session, for the time, and for the new
// token.
type Handler struct {
	// Manager is the Manager whose logins are bound. Its DeviceBound must not be zero.
	Manager *session.Manager

	// Exclude lists paths such as "/static". The browser requests them, and all paths below
	// them, without waiting for a fresh cookie. List the paths that need no session: any
	// other request can cost a signature, and browsers limit how many they make. A path
	// consists of ASCII letters, digits and -._~/ only.
	Exclude []string
}

var (
	_ http.Handler = (*Handler)(nil)

	errNoManager = errors.New("dbsc: Handler.Manager is nil")
	errUnbound   = errors.New("dbsc: Manager.DeviceBound is zero")
	errExclude   = errors.New("dbsc: a path in Exclude must begin with / and use only / - . _ ~ and ASCII letters and digits")
)

const (
	headerProof     = "Secure-Session-Response"
	headerSession   = "Sec-Secure-Session-Id"
	headerChallenge = "Secure-Session-Challenge"

	idParameter = "session" // in the query of the refresh URL
)

// Check validates the fields and the Manager.
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

// Mount adds the handler to a mist server, at the paths of the Manager. It panics if Check
// fails.
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

// ServeHTTP serves the two requests at the paths of the Manager. It answers any other path
// with 404, and any method but POST with 405.
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
	_, _ = w.Write(ctx.RespData) // fails only if the browser has left
}

// begin sets the headers that keep both answers from caches and from other sites. It reports
// whether the request can be served.
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

// Register binds the session of the request to the browser's device. The status is
//   - 200, with the instructions for the browser: the session is now bound
//   - 400: the request carries no proof
//   - 401: no user is logged in
//   - 403: the proof is wrong, the session is already bound, or its login is more than two
//     minutes old
//   - 503: the store failed
//
// Only 200 changes the session. The server of the context sends the answer.
func (h *Handler) Register(ctx *mist.Context) {
	if !h.begin(ctx) {
		return
	}
	proof, ok := field(ctx.Request.Header, headerProof)
	if !ok {
		ctx.RespStatusCode = http.StatusBadRequest
		return
	}
	// Scripts must not register keys: an injected one could bind the session to a key of its
	// own and use it elsewhere. A script can set the proof's header only in the mode cors or
	// same-origin; browsers register in the mode no-cors.
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

// Refresh answers a browser whose cookie has ended or ends soon. The status is
//   - 403, with a challenge: the browser has to sign it and ask again
//   - 200, with instructions and a new cookie: the proof is correct
//   - 200, with the instruction to stop: the session has ended
//   - 400: the request names no session
//   - 429: too many tokens of the session are still valid
//   - 503: the store failed, and the browser tries again later
//
// The server of the context sends the answer.
func (h *Handler) Refresh(ctx *mist.Context) {
	if !h.begin(ctx) {
		return
	}
	name, ok := field(ctx.Request.Header, headerSession)
	id := ctx.Request.URL.Query().Get(idParameter)
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
		return d.verifyRefresh(proof, id, now)
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

// challenge asks the browser for a proof. name is the binding's name in the browser.
func (h *Handler) challenge(ctx *mist.Context, name, id string) {
	s, err := h.Manager.Get(ctx.Request.Context(), id)
	var now time.Time
	if err == nil {
		now, err = session.Now(ctx.Request.Context(), s)
	}
	if err == nil {
		err = setChallenge(ctx, name, s, now)
	}
	if err != nil {
		h.failed(ctx, name, err)
		return
	}
	ctx.RespStatusCode = http.StatusForbidden
}

// setChallenge puts a challenge for the device of s into the response.
func setChallenge(ctx *mist.Context, name string, s session.Session, now time.Time) error {
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

// failed answers a refresh that ended with err.
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
