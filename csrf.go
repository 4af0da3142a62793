package session

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"

	"github.com/dormoron/mist"
)

// [Manager.RequireCSRF] looks for a token in these places.
const (
	CSRFHeader = "X-CSRF-Token" // the header of a script's request
	CSRFField  = "csrf_token"   // the field of a form
)

const (
	csrfKey  = "mist-contrib/session.csrf" // the key of the session's secret
	csrfSize = sha256.Size
)

// CSRFToken returns a token for the forms and scripts of a page. No other site knows
// it, and [Manager.RequireCSRF] asks for it. Each call returns another token, so an
// attacker cannot guess it from the size of a compressed page (BREACH). All tokens of
// a session are valid until it ends or its user logs in again. Rotation keeps them.
//
// The first call for a session stores a secret in it. [All] lists this value and
// [Clear] removes it. CSRFToken fails with [errors.ErrUnsupported] if s is no
// [Updater]. Other errors come from the store.
func CSRFToken(ctx context.Context, s Session) (string, error) {
	secret, err := csrfSecret(ctx, s)
	if secret == nil && err == nil {
		err = Update(ctx, s, csrfKey, func(old any) (any, error) {
			if secret, _ = old.([]byte); len(secret) != csrfSize { // else another request was first
				secret = make([]byte, csrfSize)
				_, _ = rand.Read(secret) // documented never to fail
			}
			return secret, nil
		})
	}
	if err != nil {
		return "", err
	}
	var masked [2 * csrfSize]byte
	_, _ = rand.Read(masked[:csrfSize])
	subtle.XORBytes(masked[csrfSize:], masked[:csrfSize], csrfSum(secret, s))
	return base64.RawURLEncoding.EncodeToString(masked[:]), nil
}

// CheckCSRFToken returns nil if [CSRFToken] made the token for this session, and
// [ErrForged] if not. Other errors come from the store.
func CheckCSRFToken(ctx context.Context, s Session, token string) error {
	secret, err := csrfSecret(ctx, s)
	if err != nil {
		return err
	}
	var masked [2 * csrfSize]byte
	if len(token) != base64.RawURLEncoding.EncodedLen(len(masked)) || secret == nil {
		return ErrForged
	}
	// Decode ignores line breaks, so the length of the token proves nothing.
	if n, err := base64.RawURLEncoding.Strict().Decode(masked[:], []byte(token)); err != nil || n != len(masked) {
		return ErrForged
	}
	subtle.XORBytes(masked[csrfSize:], masked[:csrfSize], masked[csrfSize:])
	if subtle.ConstantTimeCompare(masked[csrfSize:], csrfSum(secret, s)) != 1 {
		return ErrForged
	}
	return nil
}

// csrfSecret returns the secret behind the tokens of a session, or nil if there is
// none yet.
func csrfSecret(ctx context.Context, s Session) ([]byte, error) {
	v, err := s.Get(ctx, csrfKey)
	if secret, ok := v.([]byte); ok && len(secret) == csrfSize {
		return secret, nil
	}
	return nil, err
}

// csrfSum returns the value that every token of a session hides. A login changes it.
func csrfSum(secret []byte, s Session) []byte {
	mac := hmac.New(sha256.New, secret)
	if info, err := Describe(s); err == nil && info.User != "" {
		_, _ = mac.Write(strconv.AppendInt(nil, info.AuthenticatedAt.UnixNano(), 10))
	}
	return mac.Sum(nil)
}

// RequireCSRF returns a middleware that refuses forged requests (ASVS 5.0, 3.5.1).
// It checks every request but GET, HEAD and OPTIONS:
//
//   - The request must pass cross. Nil means a new [http.CrossOriginProtection], which
//     trusts no other site.
//   - A request with a session must carry a token of [CSRFToken], in the header
//     [CSRFHeader] or the form field [CSRFField]. An exception of cross does not exempt
//     it. Without a session only the login form can be abused, and cross protects it.
//
// Two kinds of requests need neither. If the identifier came by an [Explicit]
// propagator, such as a header, no other site can make a browser send it. If the browser
// itself registers or refreshes a bound session ([Manager].DeviceBound), no other site
// can sign the proof.
//
// A streamed upload needs the token in the header. Without it the middleware reads the
// form to find the field, which consumes the body before the handler runs.
//
// A forged request gets 403 with [ErrForged]. If the store fails, the request gets 503.
// ErrorHandler answers instead if it is set.
//
// Put a limit for bodies ([http.MaxBytesHandler]) in front: the middleware reads up to 32
// MiB of files into memory. A form above the limit gets 413, with an error that matches
// [http.MaxBytesError], and a form that breaks off gets 400. Neither counts as forged.
// The middleware removes the temporary files of the form when it returns.
func (m *Manager) RequireCSRF(cross *http.CrossOriginProtection) mist.Middleware {
	if cross == nil {
		cross = http.NewCrossOriginProtection()
	}
	guard := m.guard(func(ctx *mist.Context) error { return m.checkCSRF(ctx, cross) })
	return func(next mist.HandleFunc) mist.HandleFunc {
		guarded := guard(next)
		return func(ctx *mist.Context) {
			if ctx != nil && ctx.Request != nil {
				req, form := ctx.Request, ctx.Request.MultipartForm
				defer func() { removeFiles(form, req, ctx.Request) }()
			}
			guarded(ctx)
		}
	}
}

func (m *Manager) checkCSRF(ctx *mist.Context, cross *http.CrossOriginProtection) error {
	if err := m.usable(ctx, false); err != nil {
		return err
	}
	switch ctx.Request.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if register, refresh := m.DevicePaths(); m.DeviceBound != 0 && (ctx.Request.URL.Path == register || ctx.Request.URL.Path == refresh) {
		return nil
	}
	s, err := m.GetSession(ctx)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if s != nil && m.explicit(ctx) {
		return nil
	}
	reqctx := ctx.Request.Context()
	if err = cross.Check(ctx.Request); err != nil {
		err = fmt.Errorf("%w: %w", ErrForged, err)
	} else if s != nil {
		var token string
		if token, err = csrfTokenOf(ctx.Request); err == nil {
			err = CheckCSRFToken(reqctx, s, token)
		}
	}
	if errors.Is(err, ErrForged) {
		about := Event{Kind: EventForged}
		if s != nil {
			about = m.eventOf(EventForged, s)
		}
		about.Cause = err
		m.emit(reqctx, about)
	}
	return err
}

// explicit reports whether the client sent the identifier of the request's session
// by an [Explicit] propagator.
func (m *Manager) explicit(ctx *mist.Context) bool {
	e, ok := unwrap[Explicit](m.state(ctx).propagatorFor(ctx.Request))
	return ok && e.Explicit() && m.state(ctx).clientIdentifier() != ""
}

const (
	formMemory = 32 << 20 // for files in memory, as in PostFormValue of net/http
	formLimit  = 10 << 20 // of net/http for a form without files
)

// csrfTokenOf returns the token that a request carries. Its error is a formError.
func csrfTokenOf(req *http.Request) (string, error) {
	if token := req.Header.Get(CSRFHeader); token != "" {
		return token, nil
	}
	err := req.ParseForm()
	if e := req.ParseMultipartForm(formMemory); err == nil && !errors.Is(e, http.ErrNotMultipart) {
		err = e
	}
	token := req.PostFormValue(CSRFField) // a form with errors may still have the field
	if token == "" && err != nil && req.Body != nil {
		if status := unreadStatus(req, err); status != 0 {
			return "", &formError{status, err}
		}
	}
	return token, nil
}

// unreadStatus returns the status for a form that err cut short. It returns 0 if the form
// was read to its end and has no such field.
func unreadStatus(req *http.Request, err error) int {
	var limit *http.MaxBytesError
	if errors.As(err, &limit) || errors.Is(err, multipart.ErrMessageTooLarge) || req.ContentLength > formLimit {
		return http.StatusRequestEntityTooLarge
	}
	// The errors of a form have no common type, but a body that failed fails again.
	if _, again := req.Body.Read(make([]byte, 1)); again != nil && again != io.EOF {
		return http.StatusBadRequest
	}
	return 0
}

// A formError means that a form could not be read, so it may or may not be forged.
type formError struct {
	status int // for the client
	cause  error
}

func (e *formError) Error() string { return "session: form: " + e.cause.Error() }

func (e *formError) Unwrap() error { return e.cause }
