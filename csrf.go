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

// Where [Manager.RequireCSRF] looks for a token.
const (
	CSRFHeader = "X-CSRF-Token" // the header of a script's request
	CSRFField  = "csrf_token"   // the field of a form
)

const (
	csrfKey  = "mist-contrib/session.csrf" // the value that holds a session's secret
	csrfSize = sha256.Size
)

// CSRFToken returns a token for the forms and scripts of a page, which no other
// site knows; [Manager.RequireCSRF] asks for it. Each call gives another one, so
// that compression tells nobody what it is (BREACH); all of them are good as long
// as the session lives and nobody logs in with it anew. Rotation keeps them.
//
// The first call for a session writes to it: a value of our own, which [All]
// lists and [Clear] takes out. [errors.ErrUnsupported]: s is no [Updater]. Other
// errors are the store's.
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

// CheckCSRFToken returns nil where token is one that [CSRFToken] gave for this
// session, and [ErrForged] where it is not. Other errors are the store's.
func CheckCSRFToken(ctx context.Context, s Session, token string) error {
	secret, err := csrfSecret(ctx, s)
	if err != nil {
		return err
	}
	var masked [2 * csrfSize]byte
	if len(token) != base64.RawURLEncoding.EncodedLen(len(masked)) || secret == nil {
		return ErrForged
	}
	// It passes over line breaks, so that long is not enough.
	if n, err := base64.RawURLEncoding.Strict().Decode(masked[:], []byte(token)); err != nil || n != len(masked) {
		return ErrForged
	}
	subtle.XORBytes(masked[csrfSize:], masked[:csrfSize], masked[csrfSize:])
	if subtle.ConstantTimeCompare(masked[csrfSize:], csrfSum(secret, s)) != 1 {
		return ErrForged
	}
	return nil
}

// csrfSecret returns what the tokens of a session are made of; nil: there is none
// yet.
func csrfSecret(ctx context.Context, s Session) ([]byte, error) {
	v, err := s.Get(ctx, csrfKey)
	if secret, ok := v.([]byte); ok && len(secret) == csrfSize {
		return secret, nil
	}
	return nil, err
}

// csrfSum is what all tokens of a session hide, until the next login.
func csrfSum(secret []byte, s Session) []byte {
	mac := hmac.New(sha256.New, secret)
	if info, err := Describe(s); err == nil && info.User != "" {
		_, _ = mac.Write(strconv.AppendInt(nil, info.AuthenticatedAt.UnixNano(), 10))
	}
	return mac.Sum(nil)
}

// RequireCSRF returns a middleware against forged requests (ASVS 5.0, 3.5.1). A
// request that may change something (not GET, HEAD, OPTIONS) must pass
// cross, and if it has a session bring a token of [CSRFToken], in the header
// [CSRFHeader] or the form field [CSRFField]. Without a session there is nothing
// to abuse but the login form, which cross protects. A session whose identifier came
// by an [Explicit] propagator, such as a header, needs neither: no other site can
// make a browser send it. Nor do the two requests of [Manager].DeviceBound: the browser
// itself makes them, and no other site can sign the proof that they carry.
//
// cross is what knows other sites, with their exceptions; nil: a new
// [http.CrossOriginProtection], which trusts none. An exception of cross does not
// exempt from the token. A request that fails: 403, its error is [ErrForged], or the
// ErrorHandler. The store down: 503.
//
// Put it behind a limit for bodies ([http.MaxBytesHandler]): it reads forms to
// find the field, up to 32 MiB of files into memory. A form over the limit: 413, its
// error matches [http.MaxBytesError]; one that breaks off: 400. Neither counts as
// forged. The temporary files of the form are removed when the middleware returns. A
// body that the handler reads as a stream needs the token in the header, because to
// look for the field consumes the body.
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
		if token, err = csrfSent(ctx.Request); err == nil {
			err = CheckCSRFToken(reqctx, s, token)
		}
	}
	if errors.Is(err, ErrForged) {
		about := Event{Kind: EventForged}
		if s != nil {
			about = m.about(EventForged, s)
		}
		about.Cause = err
		m.emit(reqctx, about)
	}
	return err
}

// explicit reports whether the client sent the identifier of the request's session
// by an [Explicit] propagator.
func (m *Manager) explicit(ctx *mist.Context) bool {
	e, ok := unwrap[Explicit](m.entry(ctx).through(ctx.Request))
	return ok && e.Explicit() && m.entry(ctx).sent() != ""
}

const (
	formMemory = 32 << 20 // of files in memory, as PostFormValue of net/http has it
	formLimit  = 10 << 20 // of a form without files, by net/http
)

// csrfSent returns the token that a request brings; its error is a formError.
func csrfSent(req *http.Request) (string, error) {
	if token := req.Header.Get(CSRFHeader); token != "" {
		return token, nil
	}
	err := req.ParseForm()
	if e := req.ParseMultipartForm(formMemory); err == nil && !errors.Is(e, http.ErrNotMultipart) {
		err = e
	}
	token := req.PostFormValue(CSRFField) // what is there of a form with errors
	if token == "" && err != nil && req.Body != nil {
		if status := unread(req, err); status != 0 {
			return "", &formError{status, err}
		}
	}
	return token, nil
}

// unread returns the status for a form that was not read to its end because of err;
// 0: all that could matter was read, and is no form with the field.
func unread(req *http.Request, err error) int {
	var limit *http.MaxBytesError
	if errors.As(err, &limit) || errors.Is(err, multipart.ErrMessageTooLarge) || req.ContentLength > formLimit {
		return http.StatusRequestEntityTooLarge
	}
	// A body that failed fails again. The errors themselves have no common type.
	if _, again := req.Body.Read(make([]byte, 1)); again != nil && again != io.EOF {
		return http.StatusBadRequest
	}
	return 0
}

// A formError is a form that could not be read, so nobody knows whether it was
// forged.
type formError struct {
	status int // for the client
	cause  error
}

func (e *formError) Error() string { return "session: form: " + e.cause.Error() }

func (e *formError) Unwrap() error { return e.cause }
