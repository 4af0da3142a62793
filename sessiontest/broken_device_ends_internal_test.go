package sessiontest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/mist-contrib/session"
)

// dropsOldest lets a proof that is one too many end the token from before the binding.
func dropsOldest(_ *testing.T, b *brokenStore) {
	b.bind = func(ctx context.Context, token string, p session.Proof) (session.Session, error) {
		b.note("oldest of "+idOf(token), token)
		return b.Store.Bind(ctx, token, p)
	}
	b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
		s, err := b.Store.Prove(ctx, id, p)
		if errors.Is(err, session.ErrFull) {
			b.note("drops of "+id, true)
		}
		return s, err
	}
	b.open = func(ctx context.Context, token string) (session.Session, error) {
		if id := idOf(token); b.noted("drops of "+id) != nil && b.noted("oldest of "+id) == token {
			return nil, session.ErrNotFound
		}
		return b.Store.Open(ctx, token)
	}
}

// prolongsAll gives every token of a session the end of the newest.
func prolongsAll(t *testing.T, b *brokenStore) {
	t.Helper()
	ifUnproved(func(ctx context.Context, b *brokenStore, token string) (session.Session, error) {
		if end, ok := b.noted("end of " + idOf(token)).(time.Time); ok && time.Now().Before(end) {
			return b.Store.Get(ctx, idOf(token))
		}
		return nil, session.ErrUnproved
	})(t, b)
	b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
		s, err := b.Store.Prove(ctx, id, p)
		if err == nil {
			end := time.Now().Add(p.Lifetime)
			if before, ok := b.noted("end of " + id).(time.Time); !ok || before.Before(end) {
				b.note("end of "+id, end)
			}
		}
		return s, err
	}
}

// awaitsRequest begins the grace of the token from before only when a request has shown
// another one.
func awaitsRequest(_ *testing.T, b *brokenStore) {
	b.bind = func(ctx context.Context, token string, p session.Proof) (session.Session, error) {
		s, err := b.Store.Bind(ctx, token, p)
		if err == nil {
			b.note("before "+s.ID(), token)
		}
		return s, err
	}
	b.open = func(ctx context.Context, token string) (session.Session, error) {
		id := idOf(token)
		before, seen := b.noted("before "+id), b.noted("seen "+id) != nil
		s, err := b.Store.Open(ctx, token)
		if before == token && !seen && errors.Is(err, session.ErrReused) {
			return b.Store.Get(ctx, id)
		}
		if err == nil && before != nil && before != token {
			b.note("seen "+id, true)
		}
		return s, err
	}
}

// leadsOn tells the client that carries the token from before to go on with the bound one.
func leadsOn(_ *testing.T, b *brokenStore) {
	b.bind = func(ctx context.Context, token string, p session.Proof) (session.Session, error) {
		s, err := b.Store.Bind(ctx, token, p)
		if err == nil {
			b.note("after "+token, session.Token(s))
		}
		return s, err
	}
	b.open = func(ctx context.Context, token string) (session.Session, error) {
		s, err := b.Store.Open(ctx, token)
		if next, ok := b.noted("after " + token).(string); ok && err == nil {
			return &brokenSession{Session: s, store: b, tokenHook: func() string { return next }}, nil
		}
		return s, err
	}
}

// rotatesForEver gives who rotates a bound session a token that never ends.
func rotatesForEver(_ *testing.T, b *brokenStore) {
	b.rotate = func(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
		s, err := b.Store.Rotate(ctx, token, grace)
		if device, _ := session.DeviceOf(s); err != nil || device == "" {
			return s, err
		}
		next := token + "A"
		b.note("without end "+next, true)
		return &brokenSession{Session: s, store: b, tokenHook: func() string { return next }}, nil
	}
	b.open = func(ctx context.Context, token string) (session.Session, error) {
		if b.noted("without end "+token) != nil {
			return b.Store.Get(ctx, idOf(token))
		}
		return b.Store.Open(ctx, token)
	}
}

func prolongs(ctx context.Context, b *brokenStore, s session.Session) (session.Session, error) {
	return s, b.Store.Refresh(ctx, s.ID())
}

// tells changes what Describe says of sessions.
func tells(change func(info session.Info) session.Info) defect {
	return sessions(func(s *brokenSession) {
		s.infoHook = func() session.Info {
			info, _ := session.Describe(s.Session)
			return change(info)
		}
	})
}

// brokenProofs is what goes wrong with what gets lost or comes together.
func brokenProofs() map[string]map[string]defect {
	return map[string]map[string]defect{
		"a lost answer of Bind locks nobody out": {
			"believes that it arrived":    bindAfter(believesBind),
			"leads the client to a token": leadsOn,
			"the end of a token ends the session": ifUnproved(func(ctx context.Context, b *brokenStore, token string) (session.Session, error) {
				return nil, errors.Join(session.ErrUnproved, b.Store.Remove(ctx, idOf(token)))
			}),
		},
		"a lost answer of Prove locks nobody out": {"ends the token of before": endsOthers, "gives the same token": sharesToken},
		"concurrent proofs each get a valid token": {
			"end each other's": endsOthers,
			"share one": func(t *testing.T, b *brokenStore) {
				sharesToken(t, b)
				prove, one := b.prove, new(sync.Mutex) // one after the other, or none has a token to share
				b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
					one.Lock()
					defer one.Unlock()
					return prove(ctx, id, p)
				}
			},
		},
		"a proof beyond the store's bound is refused and ends no token": {
			"ends the oldest": dropsOldest,
			"has no bound": func(_ *testing.T, b *brokenStore) {
				b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
					s, err := b.Store.Prove(ctx, id, p)
					if err == nil {
						b.note("proved "+id, s)
					} else if last, ok := b.noted("proved " + id).(session.Session); ok && errors.Is(err, session.ErrFull) {
						return last, nil
					}
					return s, err
				}
			},
			"takes the challenge for answered": func(_ *testing.T, b *brokenStore) {
				b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
					if b.note(id+p.Challenge, true) != nil {
						return nil, session.ErrReplayed
					}
					return b.Store.Prove(ctx, id, p)
				}
			},
		},
		"ended tokens and challenges leave room for new ones": {
			"counts all of them": func(_ *testing.T, b *brokenStore) {
				b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
					n, _ := b.noted("proofs of " + id).(int)
					if n > 64 {
						return nil, session.ErrFull
					}
					b.note("proofs of "+id, n+1)
					return b.Store.Prove(ctx, id, p)
				}
			},
			"ends the oldest": endsOthers,
		},
		"writers survive Bind and Prove": {
			"Bind copies the record":  bindAfter(copiesRecord),
			"Prove copies the record": proveAfter(copiesRecord),
		},
	}
}

func copiesRecord(ctx context.Context, _ *brokenStore, s session.Session) (session.Session, error) {
	copied := record(ctx, s)
	Step(ctx)
	slowly(ctx)
	return s, errors.Join(session.Clear(ctx, s), session.SetAll(ctx, s, copied))
}

// brokenEnds is what goes wrong with time, and the rest.
func brokenEnds() map[string]map[string]defect {
	return map[string]map[string]defect{
		"a bound token ends at its deadline and not before": {
			"lives on":                       liveOn,
			"a nanosecond late":              bindsWith(lives(1)),
			"a millisecond early":            bindsWith(lives(-time.Millisecond)),
			"a nanosecond late by a proof":   provesWith(lives(1)),
			"a millisecond early by a proof": provesWith(lives(-time.Millisecond)),
			"ends the session": ifUnproved(func(ctx context.Context, b *brokenStore, token string) (session.Session, error) {
				return nil, errors.Join(session.ErrUnproved, b.Store.Remove(ctx, idOf(token)))
			}),
			"does not say why":      ifUnproved(func(context.Context, *brokenStore, string) (session.Session, error) { return nil, session.ErrNotFound }),
			"says why to everybody": opens(func(context.Context, *brokenStore, string) (session.Session, error) { return nil, session.ErrUnproved }),
			"is rotated": func(_ *testing.T, b *brokenStore) {
				b.rotate = func(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
					if _, err := b.Store.Open(ctx, token); errors.Is(err, session.ErrUnproved) {
						return b.another(ctx, idOf(token))
					}
					return b.Store.Rotate(ctx, token, grace)
				}
			},
		},
		"the token from before Bind is valid until the first bound one is used, then for its grace": {
			"without grace":         bindsWith(func(p session.Proof) session.Proof { p.Grace = 0; return p }),
			"with grace a ms short": bindsWith(graces(-time.Millisecond)),
			"with grace a ns long":  bindsWith(graces(1)),
			"begins at once":        bindAfter(believesBind),
		},
		"a proof counts as use of the first bound token": {"waits for a request": awaitsRequest},
		"a proof moves the end of no token":              {"ends the others": endsOthers, "prolongs the others": prolongsAll},
		"neither Bind nor Prove moves a deadline":        {"Bind does": bindAfter(prolongs), "Prove does": proveAfter(prolongs)},
		"Describe reports when a bound token ends": {
			"never says so":   tells(func(info session.Info) session.Info { info.ProvedUntil = time.Time{}; return info }),
			"says it is free": tells(func(info session.Info) session.Info { info.Bound = false; return info }),
			"says it of all": tells(func(info session.Info) session.Info {
				if info.ProvedUntil.IsZero() {
					info.ProvedUntil = info.IdleDeadline
				}
				return info
			}),
			"lists without it": listsWrongly(func(_ context.Context, _ *brokenStore, _ string, infos []session.Info) []session.Info {
				for i := range infos {
					infos[i].Bound = false
				}
				return infos
			}),
		},
		"Rotate returns the token of a bound session unchanged": {
			"makes one without end": rotatesForEver,
			"makes another": func(_ *testing.T, b *brokenStore) {
				b.rotate = func(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
					s, err := b.Store.Rotate(ctx, token, grace)
					if err != nil || b.device(ctx, s.ID()) == "" {
						return s, err
					}
					return b.another(ctx, s.ID())
				}
			},
		},
		"an invalid Proof is refused and changes nothing": {"Bind makes it one": bindsWith(takesAll), "Prove makes it one": provesWith(takesAll)},
		"Bind and Prove end with their context, and change nothing": {
			"Bind goes on": func(_ *testing.T, b *brokenStore) {
				b.bind = func(ctx context.Context, token string, p session.Proof) (session.Session, error) {
					return b.Store.Bind(context.WithoutCancel(ctx), token, p)
				}
			},
			"Prove does it, and says so": func(_ *testing.T, b *brokenStore) {
				b.prove = func(ctx context.Context, id string, p session.Proof) (session.Session, error) {
					s, err := b.Store.Prove(context.WithoutCancel(ctx), id, p)
					if err == nil {
						err = ctx.Err()
					}
					return s, err
				}
			},
		},
		"no token, device or challenge in an error of Bind or Prove": {
			"a token":     discloses(func(token string, _ session.Proof) string { return token }),
			"a device":    discloses(func(_ string, p session.Proof) string { return p.Device }),
			"a challenge": discloses(func(_ string, p session.Proof) string { return p.Challenge }),
		},
	}
}
