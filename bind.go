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
	errOvertaken   = errors.New("session: the client carries the session of another login by now")
	errDeviceBound = errors.New("session: Manager.DeviceBound is not between a second and a day")
	errDevicePath  = errors.New("session: Manager.DevicePath does not begin with /, ends with one, is over 256 bytes, or has . or .. or an empty part, or characters but A-Z a-z 0-9 -._~")
)

// ChallengeLife is how long the challenge of [Manager.ProveDevice] may be answered.
// A browser gets one with each cookie, and answers it when that is about to end.
const ChallengeLife = 15 * time.Minute

const (
	defaultDevicePath = "/dbsc"
	maxDevicePath     = 256
	pathCharacters    = "/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

	headerRegistration = "Secure-Session-Registration"

	// bindTime is how long after the login a session can be bound. Browsers do it in the
	// first second.
	bindTime = 2 * time.Minute

	// settleTime is how long after the login RefreshSession leaves the cookie alone. The
	// browser registers in the first of these seconds, and the cookie of another response
	// could arrive after the bound one.
	settleTime = 10 * time.Second
)

// devicePath is where the browser finds what answers it.
func (m *Manager) devicePath() string {
	if m == nil || m.DevicePath == "" {
		return defaultDevicePath
	}
	return m.DevicePath
}

// DevicePaths returns the paths at which browsers register their device and prove
// that they hold it.
func (m *Manager) DevicePaths() (register, refresh string) {
	return m.devicePath() + "/register", m.devicePath() + "/refresh"
}

// checkDevices reports what is wrong with DeviceBound and what it needs.
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
		return unsupported("Manager.DeviceBound, without a cookie")
	}
	return b.Bindable(p)
}

// bindable returns the propagator whose cookie is bound, the first that could be; nil:
// there is none.
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

// binds reports whether the identifier of a request travels in the cookie that is bound.
func (e *entry) binds(req *http.Request) bool {
	b, ok := unwrap[Bindable](e.through(req))
	return ok && same(b, bindable(e.manager.Propagator))
}

// offer asks the browser to bind the session of a login to its device. It takes back what
// this Manager offered before in the same response.
func (m *Manager) offer(ctx *mist.Context, s Session, carried string) {
	if m.DeviceBound == 0 || !m.entry(ctx).binds(ctx.Request) {
		return
	}
	if info, err := Describe(s); err != nil || info.User == "" {
		return
	}
	register, _ := m.DevicePaths()
	to := `(ES256 RS256);path="` + register + `";challenge="`
	h := ctx.ResponseWriter.Header()
	others := slices.DeleteFunc(h[headerRegistration], func(line string) bool { return strings.HasPrefix(line, to) })
	h[headerRegistration] = append(others, to+bindChallenge(carried)+`"`)
}

// bindChallenge is what a device signs to be bound to the session of a token. Nobody
// without the token knows it, and nothing has to remember it.
func bindChallenge(carried string) string {
	mac := hmac.New(sha256.New, []byte(carried))
	_, _ = mac.Write([]byte("mist-contrib/session device registration"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// keptBound is how long the browser keeps a token that is good for that long: a little
// less, so that a request that is under way when the browser drops it arrives in time.
func keptBound(good time.Duration) time.Duration {
	return max(time.Second, (good - min(good/10, defaultRotateGrace)).Truncate(time.Second))
}

// devices is the start of every call about a device.
func (m *Manager) devices(ctx *mist.Context) (DeviceStore, error) {
	if err := m.usable(ctx, true); err != nil {
		return nil, err
	}
	ds, ok := unwrap[DeviceStore](m.Store)
	if !ok || m.DeviceBound == 0 {
		return nil, unsupported("a device, without Manager.DeviceBound")
	}
	if m.headerWritten(ctx) {
		return nil, ErrHeaderWritten
	}
	return ds, nil
}

// BindDevice binds the session of the request to a device: from now on its token is good
// for [Manager].DeviceBound, and the response gives the client the first such
// token. Package dbsc calls it when a browser registers. verify gets the challenge
// that the login offered to the client and checks that the device signed it. What it
// returns stands for the device, see [Proof].
//
// [ErrNotFound]: nobody is logged in. [ErrReauthenticate]: the login is over two minutes
// ago. [ErrBound]: the session has a device. [ErrFull]: too many old tokens of it are good.
// [errors.ErrUnsupported]: the identifier did not come in the cookie that is bound, the
// first [Bindable] one. What verify returned. After these nothing has changed, and the
// session goes on as it was. Other errors are the store's and the propagator's.
func (m *Manager) BindDevice(ctx *mist.Context, verify func(challenge string) (device string, err error)) (Session, error) {
	ds, err := m.devices(ctx)
	if err != nil {
		return nil, err
	}
	s, info, err := m.user(ctx)
	if err != nil {
		return nil, err
	}
	e, reqctx := m.entry(ctx), ctx.Request.Context()
	carried := e.sent()
	if carried == "" || !e.binds(ctx.Request) {
		return nil, unsupported("BindDevice of a session that came in no cookie")
	}
	now, err := Now(reqctx, s)
	if err != nil {
		return nil, m.failed(reqctx, err)
	}
	refuse := func(err error) (Session, error) { return nil, m.refuseProof(reqctx, info.ID, info.User, err) }
	if age := now.Sub(info.AuthenticatedAt); age > bindTime || age < -bindTime {
		return refuse(ErrReauthenticate)
	}
	device, err := verify(bindChallenge(carried))
	if err != nil {
		return refuse(err)
	}
	bound, err := ds.Bind(m.context(ctx), carried, Proof{Device: device, Lifetime: m.DeviceBound, Grace: m.rotateGrace()})
	switch {
	case errors.Is(err, ErrBound), errors.Is(err, ErrFull):
		return refuse(err)
	case err != nil:
		return nil, m.failed(reqctx, plain(err))
	}
	next, err := m.carried(bound)
	if err != nil {
		return nil, err
	}
	if err := m.inject(ctx, bound, next); err != nil {
		return nil, err
	}
	e.put(ctx, bound, carried) // what the client has shown
	m.emit(reqctx, m.about(EventBound, bound))
	return bound, nil
}

// ProveDevice gives the client another token for the session of an id, once its device
// has proved itself. The request carries no token, as that has ended. Package dbsc calls it
// when a browser refreshes. verify gets the device that the session is bound to, and
// the time of the store. It checks that the device signed a challenge of this session
// that is not older than [ChallengeLife], and returns the challenge. That is good once.
// Neither deadline of the session is moved.
//
// [ErrNotFound]: the session has ended. [ErrUnbound]: it has no device. [ErrReplayed]:
// the challenge was answered before. [ErrFull]: too many tokens of the session are good.
// What verify returned. An error that matches none: the request carries the token of
// another login, which a late answer must not replace. After these nothing has
// changed. Other errors are the store's and the propagator's.
func (m *Manager) ProveDevice(ctx *mist.Context, id string, verify func(device string, now time.Time) (challenge string, err error)) (Session, error) {
	ds, err := m.devices(ctx)
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
	case errors.Is(err, ErrNotFound): // after a logout the browser asks once more
		return nil, err
	case err != nil:
		return nil, m.failed(reqctx, err)
	}
	user = m.described("", s).User
	e := m.entry(ctx)
	if carried, err := e.extract(ctx.Request); err == nil && m.claimed(carried) != id {
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
	// Twice, because the clock of the store may have been set back since the challenge.
	s, err = ds.Prove(reqctx, id, Proof{Device: device, Challenge: challenge, Remember: 2 * ChallengeLife, Lifetime: m.DeviceBound})
	switch {
	case errors.Is(err, ErrUnbound), errors.Is(err, ErrReplayed), errors.Is(err, ErrFull):
		return refuse(err)
	case err != nil:
		return nil, m.failed(reqctx, err)
	}
	carried, err := m.carried(s)
	if err != nil {
		return nil, err
	}
	if err := e.inject(ctx.ResponseWriter, bindable(m.Propagator), s, carried); err != nil {
		return nil, err
	}
	e.put(ctx, s, carried)
	m.emit(reqctx, m.about(EventProved, s))
	return s, nil
}

// refuseProof tells OnEvent that a device was refused because of err, and returns that.
func (m *Manager) refuseProof(ctx context.Context, id, user string, err error) error {
	m.emit(ctx, Event{Kind: EventProofRefused, Session: id, User: user, Cause: err})
	return err
}

// isBound reports whether s was bound to a device when this request loaded it.
func isBound(s Session) bool {
	info, err := Describe(s)
	return err == nil && info.Bound
}

// proved reports whether the token that opened s is one of a device, which only proofs
// renew.
func proved(s Session) bool {
	info, err := Describe(s)
	return err == nil && !info.ProvedUntil.IsZero()
}

// settling reports whether a refresh leaves the cookie of s alone: the browser has a
// bound one, or may be getting it now. If a token from before the binding is good for
// long after it, the bound one never arrived. s was loaded after it was refreshed.
func (m *Manager) settling(s Session) bool {
	info, err := Describe(s)
	switch {
	case err != nil || info.User == "":
		return false
	case info.Bound:
		return !info.ProvedUntil.IsZero() || info.LastSeen.Sub(info.RotatedAt) < bindTime+m.rotateGrace()
	}
	return m.DeviceBound > 0 && info.LastSeen.Sub(info.AuthenticatedAt) < settleTime
}

// deviceOf returns the session of an id, and its device.
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

// RequireBound returns a middleware for applications that want bound sessions only: it
// lets a request through when its token is one of a session that is bound to a
// device, or its login is less than within ago, so that the browser has time to bind
// it. Otherwise 403, its error is [ErrUnbound]; nobody is logged out. Browsers that
// cannot bind sessions get no further. Nobody logged in: 401. Otherwise as
// [Manager.RequireFresh]. It panics when within is not positive.
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
