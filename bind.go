package session

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session/internal/token"
)

var (
	errOvertaken   = errors.New("session: the client has the session of another login by now")
	errDeviceBound = errors.New("session: Manager.DeviceBound is not between a second and a day")
	errDevicePath  = errors.New("session: Manager.DevicePath must begin with / and not end with it, have no empty, . or .. segment, be at most 256 bytes, and use only / - . _ ~ and ASCII letters and digits")
)

// ChallengeLife is how long a challenge for [Manager.ProveDevice] is valid. A browser gets
// one with each cookie, and answers it shortly before the cookie ends.
const ChallengeLife = 15 * time.Minute

const (
	defaultDevicePath = "/dbsc"
	maxDevicePath     = 256
	pathCharacters    = "/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

	headerRegistration = "Secure-Session-Registration"

	// bindTime is how long after the login a session can be bound. Browsers bind it within
	// the first second.
	bindTime = 2 * time.Minute

	// settleTime is how long after the login RefreshSession sets no cookie. The browser
	// registers in the first of these seconds. A cookie from another response could arrive
	// later than the bound cookie and replace it.
	settleTime = 10 * time.Second
)

func (m *Manager) devicePath() string {
	if m == nil || m.DevicePath == "" {
		return defaultDevicePath
	}
	return m.DevicePath
}

// DevicePaths returns the path where a browser registers its device, and the path where it
// proves that it still has the device's key.
func (m *Manager) DevicePaths() (register, refresh string) {
	return m.devicePath() + "/register", m.devicePath() + "/refresh"
}

// checkDevices checks DeviceBound, DevicePath, and whether the store and the propagator
// support bound sessions.
func (m *Manager) checkDevices() error {
	p := m.devicePath()
	if p[0] != '/' || p == "/" || len(p) > maxDevicePath || path.Clean(p) != p || strings.Trim(p, pathCharacters) != "" {
		return errDevicePath
	}
	if m.DeviceBound == 0 {
		return nil
	}
	if m.DeviceBound < time.Second || m.DeviceBound > maxProof {
		return errDeviceBound
	}
	if _, ok := unwrap[DeviceStore](m.Store); !ok {
		return unsupported("Manager.DeviceBound")
	}
	b := bindable(m.Propagator)
	if b == nil {
		return unsupported("Manager.DeviceBound without a cookie propagator")
	}
	return b.Bindable(p)
}

// bindable returns the propagator whose cookie is bound: the first [Bindable] one, or nil.
func bindable(p Propagator) Bindable {
	if c, ok := unwrap[Chain](p); ok {
		for _, one := range c {
			if b := bindable(one); b != nil {
				return b
			}
		}
		return nil
	}
	b, _ := unwrap[Bindable](p)
	return b
}

// canBind reports whether the request's identifier came in the cookie that can be bound.
func (st *managerState) canBind(req *http.Request) bool {
	b, ok := unwrap[Bindable](st.propagatorFor(req))
	return ok && same(b, bindable(st.manager.Propagator))
}

// offerBinding asks the browser to bind the new login's session to its device. It
// replaces an earlier offer of this Manager in the same response.
func (m *Manager) offerBinding(ctx *mist.Context, s Session, identifier string) {
	if m.DeviceBound == 0 || !m.state(ctx).canBind(ctx.Request) {
		return
	}
	if info, err := Describe(s); err != nil || info.User == "" {
		return
	}
	register, _ := m.DevicePaths()
	to := `(ES256 RS256);path="` + register + `";challenge="`
	h := ctx.ResponseWriter.Header()
	others := slices.DeleteFunc(h[headerRegistration], func(line string) bool { return strings.HasPrefix(line, to) })
	h[headerRegistration] = append(others, to+bindChallenge(identifier)+`"`)
}

// bindChallenge returns the challenge that a device signs at registration. It is derived
// from the session's token, so only the token's owner knows it and no store keeps it.
func bindChallenge(identifier string) string {
	mac := hmac.New(sha256.New, []byte(identifier))
	_, _ = mac.Write([]byte("mist-contrib/session device registration"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// boundMaxAge returns the Max-Age of a bound cookie. It is a little shorter than the token's
// lifetime, so that a request sent just before the browser drops the cookie still arrives
// in time.
func boundMaxAge(lifetime time.Duration) time.Duration {
	return max(time.Second, (lifetime - min(lifetime/10, defaultRotateGrace)).Truncate(time.Second))
}

// deviceStore returns the store for a call about a device, or why the call is impossible.
func (m *Manager) deviceStore(ctx *mist.Context) (DeviceStore, error) {
	if err := m.usable(ctx, true); err != nil {
		return nil, err
	}
	ds, ok := unwrap[DeviceStore](m.Store)
	if !ok || m.DeviceBound == 0 {
		return nil, unsupported("binding a device without Manager.DeviceBound")
	}
	if m.headerWritten(ctx) {
		return nil, ErrHeaderWritten
	}
	return ds, nil
}

// BindDevice binds the session of the request to a device. From then on each token of the
// session is valid for [Manager].DeviceBound, and the response carries the first such token.
// Package dbsc calls BindDevice when a browser registers. verify gets the challenge that the
// login offered to the client. It checks the device's signature and returns the device, see
// [Proof].
//
// After each of these errors the session is unchanged:
//   - [ErrNotFound]: no user is logged in
//   - [ErrReauthenticate]: the login is more than two minutes old
//   - [ErrBound]: the session is already bound
//   - [ErrFull]: too many old tokens of the session are still valid
//   - [errors.ErrUnsupported]: the identifier did not come in the first [Bindable] cookie
//   - any error of verify
//
// Other errors come from the store or from the propagator.
func (m *Manager) BindDevice(ctx *mist.Context, verify func(challenge string) (device string, err error)) (Session, error) {
	ds, err := m.deviceStore(ctx)
	if err != nil {
		return nil, err
	}
	s, info, err := m.user(ctx)
	if err != nil {
		return nil, err
	}
	st, reqctx := m.state(ctx), ctx.Request.Context()
	identifier := st.clientIdentifier()
	if identifier == "" || !st.canBind(ctx.Request) {
		return nil, unsupported("BindDevice without the cookie of the session")
	}
	age, err := m.loginAge(ctx, s, info)
	if err != nil {
		return nil, err
	}
	refuse := func(err error) (Session, error) { return nil, m.refuseProof(reqctx, info.ID, info.User, err) }
	if age > bindTime {
		return refuse(ErrReauthenticate)
	}
	device, err := verify(bindChallenge(identifier))
	if err != nil {
		return refuse(err)
	}
	bound, err := ds.Bind(m.context(ctx), identifier, Proof{Device: device, Lifetime: m.DeviceBound, Grace: m.rotateGrace()})
	switch {
	case errors.Is(err, ErrBound), errors.Is(err, ErrFull):
		return refuse(err)
	case err != nil:
		return nil, m.failed(reqctx, withoutReason(err))
	}
	next, err := m.identifier(bound)
	if err != nil {
		return nil, err
	}
	if err := m.inject(ctx, bound, next); err != nil {
		return nil, err
	}
	st.setSession(ctx, bound, identifier) // the client has sent the old token only
	m.emit(reqctx, m.eventOf(EventBound, bound))
	return bound, nil
}

// ProveDevice gives the client a new token for the session with this id, after its device
// has proved itself. The request needs no token, because the last one may have ended.
// Package dbsc calls ProveDevice when a browser refreshes its cookie. verify gets the
// session's device and the store's time. It checks that the device signed a challenge for
// this session that is no older than [ChallengeLife], and returns the challenge. Each
// challenge can be used once. The session's deadlines do not change.
//
// After each of these errors the session is unchanged:
//   - [ErrNotFound]: the session has ended
//   - [ErrUnbound]: the session has no device
//   - [ErrReplayed]: the challenge was answered before
//   - [ErrFull]: too many tokens of the session are still valid
//   - any error of verify
//   - an error that matches none of these: the request carries the token of another login,
//     and a late answer must not replace that
//
// Other errors come from the store or from the propagator.
func (m *Manager) ProveDevice(ctx *mist.Context, id string, verify func(device string, now time.Time) (challenge string, err error)) (Session, error) {
	ds, err := m.deviceStore(ctx)
	if err != nil {
		return nil, err
	}
	if !token.ValidID(id) {
		return nil, ErrNotFound
	}
	reqctx := ctx.Request.Context()
	user := ""
	refuse := func(err error) (Session, error) { return nil, m.refuseProof(reqctx, id, user, err) }
	s, device, err := m.deviceOf(reqctx, id)
	switch {
	case errors.Is(err, ErrUnbound):
		return refuse(err)
	case errors.Is(err, ErrNotFound): // no event: after each logout the browser asks once more
		return nil, err
	case err != nil:
		return nil, m.failed(reqctx, err)
	}
	user = m.newEvent("", s).User
	st := m.state(ctx)
	if identifier, err := st.extract(ctx.Request); err == nil && m.claimedID(identifier) != id {
		_, _, err := m.user(ctx)
		switch {
		case err == nil:
			return refuse(errOvertaken)
		case !errors.Is(err, ErrNotFound):
			return nil, err
		}
	}
	now, err := Now(reqctx, s)
	if err != nil {
		return nil, m.failed(reqctx, err)
	}
	challenge, err := verify(device, now)
	if err != nil {
		return refuse(err)
	}
	// Twice ChallengeLife, because the store's clock may have been set back since the challenge.
	s, err = ds.Prove(reqctx, id, Proof{Device: device, Challenge: challenge, Remember: 2 * ChallengeLife, Lifetime: m.DeviceBound})
	switch {
	case errors.Is(err, ErrUnbound), errors.Is(err, ErrReplayed), errors.Is(err, ErrFull):
		return refuse(err)
	case err != nil:
		return nil, m.failed(reqctx, err)
	}
	identifier, err := m.identifier(s)
	if err != nil {
		return nil, err
	}
	if err := st.inject(ctx.ResponseWriter, bindable(m.Propagator), s, identifier); err != nil {
		return nil, err
	}
	st.setSession(ctx, s, identifier)
	m.emit(reqctx, m.eventOf(EventProved, s))
	return s, nil
}

// refuseProof reports EventProofRefused with the cause err, and returns err.
func (m *Manager) refuseProof(ctx context.Context, id, user string, err error) error {
	m.emit(ctx, Event{Kind: EventProofRefused, Session: id, User: user, Cause: err})
	return err
}

// isBound reports whether s was bound to a device when this request loaded it.
func isBound(s Session) bool {
	info, err := Describe(s)
	return err == nil && info.Bound
}

// openedByProof reports whether a token of a device opened s. Only a proof of the device
// renews it.
func openedByProof(s Session) bool {
	info, err := Describe(s)
	return err == nil && !info.ProvedUntil.IsZero()
}

// mustKeepCookie reports whether a refresh must not set the cookie of s: the browser has
// a bound cookie, or may be getting one now. If the browser still uses a token from
// before the binding long after it, the bound cookie never arrived. s was loaded after
// the refresh.
func (m *Manager) mustKeepCookie(s Session) bool {
	info, err := Describe(s)
	switch {
	case err != nil || info.User == "":
		return false
	case info.Bound:
		return !info.ProvedUntil.IsZero() || info.LastSeen.Sub(info.RotatedAt) < bindTime+m.rotateGrace()
	}
	return m.DeviceBound > 0 && info.LastSeen.Sub(info.AuthenticatedAt) < settleTime
}

// deviceOf returns the session with this id, and its device.
func (m *Manager) deviceOf(ctx context.Context, id string) (Session, string, error) {
	s, err := m.Store.Get(ctx, id)
	if err != nil {
		return nil, "", err
	}
	device, err := DeviceOf(s)
	if err == nil && device == "" {
		err = ErrUnbound
	}
	return s, device, err
}

// RequireBound returns a middleware for applications that accept only bound sessions. A
// request passes if its session is bound to a device and its token is one of that device.
// Until within has passed since the login, every request passes, so that the browser can
// bind the session.
// Any other request gets 403, with the error [ErrUnbound], and stays logged in. Browsers
// that cannot bind sessions are therefore refused. If no user is logged in, the request gets 401.
// In all else it works like [Manager.RequireFresh]. It panics if within is not positive.
func (m *Manager) RequireBound(within time.Duration) mist.Middleware {
	if within <= 0 {
		panic("session: RequireBound: duration is not positive")
	}
	return m.guard(func(ctx *mist.Context) error {
		_, info, err := m.user(ctx)
		if err != nil || !info.ProvedUntil.IsZero() {
			return err
		}
		return m.fresh(ctx, within, ErrUnbound)
	})
}
