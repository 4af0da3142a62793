package sessiontest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

// refusesDevices answers bindings and proofs with an error, but not those from before the
// burst.
func refusesDevices(with error) defect {
	return func(_ *testing.T, b *brokenStore) {
		b.bind = func(ctx context.Context, token string, p session.Proof) (session.Session, error) {
			if ctx.Value(visitKey{}) != nil {
				return nil, with
			}
			return b.Store.Bind(ctx, token, p)
		}
		b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
			if ctx.Value(visitKey{}) != nil {
				return nil, with
			}
			return b.Store.Prove(ctx, id, p)
		}
	}
}

// injectsSent is a refresh that gives the client what it sent, whatever was bound or
// rotated meanwhile.
func injectsSent(v *visit, ctx *mist.Context) error {
	if err := v.load(ctx); err != nil {
		return err
	}
	if err := v.manager.Store.Refresh(ctx.Request.Context(), v.loaded.ID()); err != nil {
		return err
	}
	return v.manager.Propagator.Inject(v.sent, ctx.ResponseWriter)
}

func brokenBindings() map[string]wreck {
	return map[string]wreck{
		"a second key takes the place of the first": {burst: "in: bind bind", finds: "a session was bound for the second time", store: replacesDevice},
		"who binds looks first": {burst: "in: bind bind", finds: "a session was bound for the second time", store: func(t *testing.T, b *brokenStore) {
			t.Helper()
			replacesDevice(t, b)
			replaces := b.bind
			b.bind = func(ctx context.Context, token string, p session.Proof) (session.Session, error) {
				Step(ctx)
				if b.device(ctx, idOf(token)) != "" {
					return nil, session.ErrBound
				}
				Step(ctx)
				return replaces(ctx, token, p)
			}
		}},
		"a bound token lives on": {burst: "bound: lapse write", finds: "opens its session after its end", store: liveOn},
		"the end of a token ends its session": {burst: "bound: lapse write", finds: "is gone, but nothing had ended it", store: ifUnproved(
			func(ctx context.Context, b *brokenStore, token string) (session.Session, error) {
				return nil, errors.Join(session.ErrUnproved, b.Store.Remove(ctx, idOf(token)))
			})},
		"the end of a token is not told": {burst: "bound: lapse", finds: "gave away, after its end", store: ifUnproved(
			func(context.Context, *brokenStore, string) (session.Session, error) { return nil, session.ErrNotFound })},
		"the token from before lives on": {burst: "in: bind prove lapse", finds: "opens its session after its end", store: func(_ *testing.T, b *brokenStore) {
			b.open = func(ctx context.Context, token string) (session.Session, error) {
				s, err := b.Store.Open(ctx, token)
				if errors.Is(err, session.ErrReused) {
					return b.Store.Get(ctx, idOf(token))
				}
				return s, err
			}
		}},
		"a challenge is looked for, and then noted": {burst: "bound: replay replay", finds: "a challenge was answered twice", store: checksOnly},
		"a proof ends the token of another tab":     {burst: "bound: prove write", finds: "got session.ErrUnproved, but the token had not ended", store: endsOthers},
		"two proofs share a token":                  {burst: "bound: prove prove", finds: "Prove gave a token that existed before", store: sharesToken},
		"a proof asks for no device":                {burst: "bound: prove login bind", finds: "a proof worked on a session that was not bound to its device", store: anyDevice},
		"a proof brings back what was revoked":      {burst: "bound: prove revoke", finds: "Prove worked on a session that had ended by a revocation", store: provesWhatIsGone},
		"a login keeps the binding":                 {burst: "bound: login", finds: "a session is bound to another device, or to none", store: keepsBinding},
		"a rotation makes a token of its own": {burst: "bound: rotate", finds: "Rotate gave a session of a device another token", store: func(_ *testing.T, b *brokenStore) {
			b.rotate = func(ctx context.Context, token string, _ time.Duration) (session.Session, error) {
				if _, err := b.Store.Open(ctx, token); err != nil {
					return nil, session.ErrNotFound
				}
				return b.another(ctx, idOf(token))
			}
		}},
		"a binding believes that its answer arrived": {burst: "in: bind write", finds: "no longer opens its session", store: func(t *testing.T, b *brokenStore) {
			t.Helper()
			b.bind = func(ctx context.Context, token string, p session.Proof) (session.Session, error) {
				p.Grace = 0
				s, err := b.Store.Bind(ctx, token, p)
				if err != nil {
					return nil, err
				}
				return b.Store.Open(ctx, session.Token(s))
			}
		}},
		"a binding copies the record": {burst: "in: bind write", finds: "an acknowledged write is lost", store: bindAfter(copiesRecord)},
		"a proof copies the record":   {burst: "bound: prove write", finds: "an acknowledged write is lost", store: proveAfter(copiesRecord)},
		"a refresh injects the token from before": {
			burst: "in: bind refresh prove lapse", finds: "lost its session",
			flows: map[string]flow{"refresh": injectsSent},
		},
		"a device that is there is refused": {burst: "bound: prove", finds: "got session.ErrUnbound, but the session was bound", store: refusesDevices(session.ErrUnbound)},
		"a challenge that is new is refused": {
			burst: "bound: prove", finds: "got session.ErrReplayed, but nobody had answered",
			store: refusesDevices(session.ErrReplayed),
		},
		"a session that is free is bound":     {burst: "in: bind", finds: "but nobody had bound the session", store: refusesDevices(session.ErrBound)},
		"a binding fails in its own way":      {burst: "in: bind", finds: "Bind: got the error \"sessiontest: fault\"", store: refusesDevices(ErrFault)},
		"a proof worked, and it was no proof": {burst: "in: prove", finds: "a proof worked on a session that was not bound", store: provesAll},
		"Bind gives another's device": {burst: "in: bind", finds: "Bind returned a session of another device", store: bindsWith(
			func(p session.Proof) session.Proof { p.Device += "?"; return p })},
		"the device of a browser gets nothing": {burst: "bound: lapse", finds: "the next request of the first browser: got the error", store: func(_ *testing.T, b *brokenStore) {
			b.prove = func(context.Context, string, session.Proof) (session.Session, error) { return nil, ErrFault }
		}},
	}
}

// provesAll binds what is not bound, when a proof asks for it.
func provesAll(_ *testing.T, b *brokenStore) {
	b.get = func(ctx context.Context, id string) (session.Session, error) {
		s, err := b.Store.Get(ctx, id)
		if device, _ := session.DeviceOf(s); err != nil || device != "" || ctx.Value(visitKey{}) == nil {
			return s, err
		}
		token, _ := b.noted("token of " + id).(string)
		if _, err := b.Store.Bind(ctx, token, session.Proof{Device: "any", Lifetime: boundFor, Grace: time.Hour}); err != nil {
			return nil, err
		}
		return b.Store.Get(ctx, id)
	}
	b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
		s, err := b.Store.Login(ctx, token, l)
		if err == nil {
			b.note("token of "+s.ID(), session.Token(s))
		}
		return s, err
	}
}
