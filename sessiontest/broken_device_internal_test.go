package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
)

type change = func(p session.Proof) session.Proof

// bindsWith and provesWith take another Proof than they are given.

func bindsWith(with change) defect {
	return func(_ *testing.T, b *brokenStore) {
		b.bind = func(ctx context.Context, token string, p session.Proof) (session.Session, error) {
			return b.Store.Bind(ctx, token, with(p))
		}
	}
}

func provesWith(with change) defect {
	return func(_ *testing.T, b *brokenStore) {
		b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
			return b.Store.Prove(ctx, id, with(p))
		}
	}
}

func lives(longer time.Duration) change {
	return func(p session.Proof) session.Proof { p.Lifetime += longer; return p }
}

func graces(longer time.Duration) change {
	return func(p session.Proof) session.Proof { p.Grace += longer; return p }
}

// device is that of a session.
func (b *brokenStore) device(ctx context.Context, id string) string {
	s, err := b.Store.Get(ctx, id)
	if err != nil {
		return ""
	}
	device, _ := session.DeviceOf(s)
	return device
}

// another gives a bound session one more token, without a proof.
func (b *brokenStore) another(ctx context.Context, id string) (session.Session, error) {
	return b.Store.Prove(ctx, id, session.Proof{Device: b.device(ctx, id), Challenge: uuid.NewString(), Lifetime: testIdle})
}

// bindAfter does something with what Bind returned; ifBound, with a second binding.
func bindAfter(then func(ctx context.Context, b *brokenStore, s session.Session) (session.Session, error)) defect {
	return func(_ *testing.T, b *brokenStore) {
		b.bind = func(ctx context.Context, token string, p session.Proof) (session.Session, error) {
			Step(ctx)
			s, err := b.Store.Bind(ctx, token, p)
			if err != nil {
				return nil, err
			}
			return then(ctx, b, s)
		}
	}
}

func ifBound(then func(ctx context.Context, b *brokenStore, token string, p session.Proof) (session.Session, error)) defect {
	return func(_ *testing.T, b *brokenStore) {
		b.bind = func(ctx context.Context, token string, p session.Proof) (session.Session, error) {
			s, err := b.Store.Bind(ctx, token, p)
			if errors.Is(err, session.ErrBound) {
				return then(ctx, b, token, p)
			}
			return s, err
		}
	}
}

// proveAfter does something with what Prove returned.
func proveAfter(then func(ctx context.Context, b *brokenStore, s session.Session) (session.Session, error)) defect {
	return func(_ *testing.T, b *brokenStore) {
		b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
			Step(ctx)
			s, err := b.Store.Prove(ctx, id, p)
			if err != nil {
				return nil, err
			}
			return then(ctx, b, s)
		}
	}
}

// ifUnproved does something where a bound token has ended.
func ifUnproved(then func(ctx context.Context, b *brokenStore, token string) (session.Session, error)) defect {
	return func(_ *testing.T, b *brokenStore) {
		b.open = func(ctx context.Context, token string) (session.Session, error) {
			s, err := b.Store.Open(ctx, token)
			if errors.Is(err, session.ErrUnproved) {
				return then(ctx, b, token)
			}
			return s, err
		}
	}
}

// replacesDevice lets the last who binds have the session.
func replacesDevice(t *testing.T, b *brokenStore) {
	t.Helper()
	ifBound(func(ctx context.Context, b *brokenStore, token string, p session.Proof) (session.Session, error) {
		b.note("device of "+idOf(token), p.Device)
		return b.another(ctx, idOf(token))
	})(t, b)
	b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
		if device, ok := b.noted("device of " + id).(string); ok && device == p.Device {
			p.Device = b.device(ctx, id)
		}
		return b.Store.Prove(ctx, id, p)
	}
}

// endsOthers lets each proof end the tokens of the ones before.
func endsOthers(_ *testing.T, b *brokenStore) {
	b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
		s, err := b.Store.Prove(ctx, id, p)
		if err == nil {
			b.note("newest of "+id, session.Token(s))
		}
		return s, err
	}
	b.open = func(ctx context.Context, token string) (session.Session, error) {
		if newest := b.noted("newest of " + idOf(token)); newest != nil && newest != token {
			return nil, session.ErrUnproved
		}
		return b.Store.Open(ctx, token)
	}
}

// sharesToken gives two proofs the same one.
func sharesToken(_ *testing.T, b *brokenStore) {
	b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
		if s, ok := b.noted("proved " + id).(session.Session); ok && b.note(id+p.Challenge, true) == nil {
			return s, nil
		}
		s, err := b.Store.Prove(ctx, id, p)
		if err == nil {
			b.note("proved "+id, s)
			b.note(id+p.Challenge, true)
		}
		return s, err
	}
}

// keepsBinding binds the session of a login as it was bound before.
func keepsBinding(_ *testing.T, b *brokenStore) {
	b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
		device := b.device(ctx, idOf(token))
		s, err := b.Store.Login(ctx, token, l)
		if err != nil || device == "" {
			return s, err
		}
		return b.Store.Bind(ctx, session.Token(s), session.Proof{Device: device, Lifetime: testIdle})
	}
}

// checksOnly looks whether a challenge was answered, and only then notes that it is.
func checksOnly(_ *testing.T, b *brokenStore) {
	b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
		Step(ctx)
		name := id + p.Challenge
		if b.noted(name) != nil {
			return nil, session.ErrReplayed
		}
		Step(ctx)
		slowly(ctx)
		b.note(name, true)
		p.Challenge = uuid.NewString()
		return b.Store.Prove(ctx, id, p)
	}
}

// provesWhatIsGone makes a session again for a proof.
func provesWhatIsGone(_ *testing.T, b *brokenStore) {
	b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
		s, err := b.Store.Prove(ctx, id, p)
		if errors.Is(err, session.ErrNotFound) && b.noted("revoked") != nil {
			return b.Store.Login(ctx, "", session.Login{User: "ada", ID: id})
		}
		return s, err
	}
	b.revoke = func(ctx context.Context, user string, except ...string) (int, error) {
		b.note("revoked", true)
		return b.Store.RemoveUserSessions(ctx, user, except...)
	}
}

// anyDevice proves for whatever device asks.
var anyDevice = func(_ *testing.T, b *brokenStore) {
	b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
		if device := b.device(ctx, id); device != "" {
			p.Device = device
		}
		return b.Store.Prove(ctx, id, p)
	}
}

// liveOn lets bound tokens open their session for ever.
var liveOn = ifUnproved(func(ctx context.Context, b *brokenStore, token string) (session.Session, error) {
	return b.Store.Get(ctx, idOf(token))
})

func believesBind(ctx context.Context, b *brokenStore, s session.Session) (session.Session, error) {
	return b.Store.Open(ctx, session.Token(s))
}

func brokenDevices() map[string]map[string]defect {
	all := map[string]map[string]defect{
		"Bind gives one session a device, byte for byte": {
			"makes text of it": bindsWith(func(p session.Proof) session.Proof { p.Device = strings.ToValidUTF8(p.Device, "?"); return p }),
			"loses the values": bindAfter(func(ctx context.Context, _ *brokenStore, s session.Session) (session.Session, error) {
				return s, session.Clear(ctx, s)
			}),
			"gives the token of before": func(_ *testing.T, b *brokenStore) {
				b.bind = func(ctx context.Context, token string, p session.Proof) (session.Session, error) {
					if _, err := b.Store.Bind(ctx, token, p); err != nil {
						return nil, err
					}
					return b.Store.Open(ctx, token)
				}
			},
		},
		"a session is bound once, to the first device": {
			"the last one has it": replacesDevice,
			"says that it did it again": ifBound(func(ctx context.Context, b *brokenStore, token string, _ session.Proof) (session.Session, error) {
				return b.Store.Open(ctx, token)
			}),
			"takes the token for seen": ifBound(func(ctx context.Context, b *brokenStore, token string, _ session.Proof) (session.Session, error) {
				_, _ = b.Store.Open(ctx, token)
				return nil, session.ErrBound
			}),
		},
		"of many calls of Bind for one session exactly one succeeds": {
			"looks, and then binds": func(t *testing.T, b *brokenStore) {
				t.Helper()
				replacesDevice(t, b)
				replaces := b.bind
				b.bind = func(ctx context.Context, token string, p session.Proof) (session.Session, error) {
					if b.device(ctx, idOf(token)) != "" {
						return nil, session.ErrBound
					}
					slowly(ctx)
					return replaces(ctx, token, p)
				}
			},
		},
		"only a live token binds its session": {
			"an id is enough": func(_ *testing.T, b *brokenStore) {
				b.bind = func(ctx context.Context, token string, p session.Proof) (session.Session, error) {
					s, err := b.Store.Bind(ctx, token, p)
					if errors.Is(err, session.ErrNotFound) {
						return b.Store.Get(ctx, idOf(token))
					}
					return s, err
				}
			},
		},
		"a proof by another device is refused and changes nothing": {
			"asks for no device": anyDevice,
			"compares as text is": func(_ *testing.T, b *brokenStore) {
				b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
					if device := b.device(ctx, id); strings.EqualFold(strings.TrimSpace(p.Device), device) {
						p.Device = device
					}
					return b.Store.Prove(ctx, id, p)
				}
			},
			"takes the challenge for answered": func(_ *testing.T, b *brokenStore) {
				b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
					if b.note(id+p.Challenge, true) != nil && b.device(ctx, id) == p.Device {
						return nil, session.ErrReplayed
					}
					return b.Store.Prove(ctx, id, p)
				}
			},
		},
		"a challenge can be answered once": {
			"takes it again":          provesWith(func(p session.Proof) session.Proof { p.Challenge = uuid.NewString(); return p }),
			"forgets it at once":      provesWith(func(p session.Proof) session.Proof { p.Remember = 0; return p }),
			"forgets it a ms early":   provesWith(func(p session.Proof) session.Proof { p.Remember -= time.Millisecond; return p }),
			"remembers the last only": remembersLast,
			"knows those of all sessions": func(_ *testing.T, b *brokenStore) {
				b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
					if b.note(p.Challenge, true) != nil {
						return nil, session.ErrReplayed
					}
					return b.Store.Prove(ctx, id, p)
				}
			},
		},
		"of many proofs with one challenge exactly one succeeds": {"looks, and then notes": checksOnly},
		"no proof brings a session back": {
			"one after a revocation does": provesWhatIsGone,
			"each does": func(_ *testing.T, b *brokenStore) {
				b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
					s, err := b.Store.Prove(ctx, id, p)
					if err = revive(ctx, b, id, err); err != nil || s != nil {
						return s, err
					}
					return b.Store.Get(ctx, id)
				}
			},
		},
		"a login of the same user ends the binding": {"keeps it": keepsBinding, "keeps the old token": keepsOldToken},
		"Reauthentication ends the binding":         {"keeps it": keepsBinding},
		"an ended token of a bound session logs nobody in": {
			"looks at no end": func(_ *testing.T, b *brokenStore) {
				b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
					if _, err := b.Store.Open(ctx, token); !errors.Is(err, session.ErrUnproved) {
						return b.Store.Login(ctx, token, l)
					}
					s, err := b.another(ctx, idOf(token))
					if err != nil {
						return nil, err
					}
					return b.Store.Login(ctx, session.Token(s), l)
				}
			},
		},
	}
	maps.Copy(all, brokenProofs())
	maps.Copy(all, brokenEnds())
	return all
}

// remembersLast knows the last challenge of a session and no other.
func remembersLast(_ *testing.T, b *brokenStore) {
	b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
		if b.note("last of "+id, p.Challenge) == p.Challenge {
			return nil, session.ErrReplayed
		}
		p.Challenge = uuid.NewString()
		return b.Store.Prove(ctx, id, p)
	}
}

// takesAll makes a Proof that cannot be one that can.
func takesAll(p session.Proof) session.Proof {
	if p.Device == "" {
		p.Device = "none"
	}
	p.Device = p.Device[:min(len(p.Device), 1024)]
	p.Lifetime = min(max(p.Lifetime, time.Millisecond), 24*time.Hour)
	p.Grace, p.Remember = min(max(p.Grace, 0), 24*time.Hour), min(max(p.Remember, 0), 24*time.Hour)
	return p
}

// discloses puts what must stay hidden into an error.
func discloses(what func(token string, p session.Proof) string) defect {
	return func(_ *testing.T, b *brokenStore) {
		wrap := func(token string, p session.Proof, s session.Session, err error) (session.Session, error) {
			if err != nil {
				return nil, fmt.Errorf("%s: %w", what(token, p), err)
			}
			return s, nil
		}
		b.bind = func(ctx context.Context, token string, p session.Proof) (session.Session, error) {
			s, err := b.Store.Bind(ctx, token, p)
			return wrap(token, p, s, err)
		}
		b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
			s, err := b.Store.Prove(ctx, id, p)
			return wrap(id, p, s, err)
		}
	}
}
