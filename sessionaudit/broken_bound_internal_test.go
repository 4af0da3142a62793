package sessionaudit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	mathbig "math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// bondLife is how long a cookie of a bound session is good on the site.
const bondLife = time.Second

// binding tells the audit of bonds.
func binding(a *App) { a.Bound = bondLife + bondLife/4 }

// Bonds let the site bind logins to devices. Each part can be replaced by a bad one.
type bonds struct {
	s   *site
	key [16]byte // of the challenges of registrations

	mu      sync.Mutex
	had     map[string]bool // identifiers of logins that have a device
	given   map[string]bool // identifiers that devices were given
	offered map[string]string
	devices map[string]*bonded

	// end lets an identifier end.
	end func(token string, before bool)
	// who returns the identifier that a proof is registered for.
	who func(r *http.Request, p jwt) string
	// answers reports whether a proof answers the challenge of an identifier.
	answers func(p jwt, token string) bool
	// once forgets a challenge.
	once func(d *bonded, challenge string)
	// second reports whether a session that has a device gets another.
	second func(token string) bool
	// verify checks a signature.
	verify func(p jwt, key *ecdsa.PublicKey) bool
	// guard adds headers to every answer.
	guard func(w http.ResponseWriter, r *http.Request)
}

// A bonded device is one that is registered.
type bonded struct {
	user       string
	key        *ecdsa.PublicKey
	challenges map[string]bool
}

func newBonds(s *site) *bonds {
	b := &bonds{s: s, had: map[string]bool{}, given: map[string]bool{}, offered: map[string]string{}, devices: map[string]*bonded{}}
	_, _ = rand.Read(b.key[:])
	b.end = func(token string, _ bool) { time.AfterFunc(bondLife, func() { s.drop(token) }) }
	b.who = func(r *http.Request, _ jwt) string { return s.find(r) }
	b.answers = func(p jwt, token string) bool { return p.claims.JTI == b.challenge(token) }
	b.once = func(d *bonded, challenge string) { delete(d.challenges, challenge) }
	b.second = func(string) bool { return false }
	b.verify = signedBy
	b.guard = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
	}
	s.offer = func(w http.ResponseWriter, token string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.offered[b.challenge(token)] = token
		w.Header().Set("Secure-Session-Registration", `(ES256);path="/bind";challenge="`+b.challenge(token)+`";authorization="code"`)
	}
	s.routes = func(mux *http.ServeMux) {
		mux.HandleFunc("/bind", b.register)
		mux.HandleFunc("/prove", b.refresh)
	}
	s.cross = func(next http.Handler) http.Handler {
		checked := http.NewCrossOriginProtection().Handler(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/bind" || r.URL.Path == "/prove" {
				next.ServeHTTP(w, r)
			} else {
				checked.ServeHTTP(w, r)
			}
		})
	}
	return b
}

func (b *bonds) challenge(token string) string {
	mac := hmac.New(sha256.New, b.key[:])
	_, _ = mac.Write([]byte(token))
	return segment(mac.Sum(nil))
}

func (b *bonds) register(w http.ResponseWriter, r *http.Request) {
	b.guard(w, r)
	p, err := readJWT(r.Header.Get("Secure-Session-Response"))
	b.mu.Lock()
	defer b.mu.Unlock()
	token := b.who(r, p)
	user, _ := b.s.lookup(token)
	if err != nil || user == "" || p.header.JWK == nil || !b.verify(p, p.header.JWK.public()) || !b.answers(p, token) ||
		p.claims.Authorization != "code" || (b.had[token] || b.given[token]) && !b.second(token) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	id := rand.Text()
	b.devices[id] = &bonded{user, p.header.JWK.public(), map[string]bool{}}
	b.end(token, true)
	b.had[token] = true
	b.give(w, id)
}

// give answers with a cookie that ends, and the instructions.
func (b *bonds) give(w http.ResponseWriter, id string) {
	token := b.s.begin(b.devices[id].user)
	b.given[token] = true
	b.end(token, false)
	b.s.set(w, token)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"session_identifier": id, "refresh_url": "/prove",
		"credentials": []map[string]string{{"type": "cookie", "name": b.s.name}},
	})
}

func (b *bonds) refresh(w http.ResponseWriter, r *http.Request) {
	b.guard(w, r)
	b.mu.Lock()
	defer b.mu.Unlock()
	id := r.Header.Get("Sec-Secure-Session-Id")
	d := b.devices[id]
	if d == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	p, err := readJWT(r.Header.Get("Secure-Session-Response"))
	if err == nil && d.challenges[p.claims.JTI] && b.verify(p, d.key) {
		b.once(d, p.claims.JTI)
		b.give(w, id)
		return
	}
	challenge := rand.Text()
	d.challenges[challenge] = true
	w.Header().Set("Secure-Session-Challenge", `"`+challenge+`";id="`+id+`"`)
	w.WriteHeader(http.StatusForbidden)
}

// A jwt is a proof as the site reads it.
type jwt struct {
	header struct {
		Alg string `json:"alg"`
		Typ string `json:"typ"`
		JWK *jwk   `json:"jwk"`
	}
	claims struct {
		JTI           string `json:"jti"`
		Authorization string `json:"authorization"`
	}
	signed    string
	signature []byte
}

type jwk struct {
	X string `json:"x"`
	Y string `json:"y"`
}

func (k *jwk) public() *ecdsa.PublicKey {
	x, _ := base64.RawURLEncoding.DecodeString(k.X)
	y, _ := base64.RawURLEncoding.DecodeString(k.Y)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil
	}
	return key
}

func readJWT(text string) (p jwt, err error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return p, errors.New("not three parts")
	}
	p.signed = parts[0] + "." + parts[1]
	for i, to := range []any{&p.header, &p.claims} {
		part, bad := base64.RawURLEncoding.DecodeString(parts[i])
		err = errors.Join(err, bad, json.Unmarshal(part, to))
	}
	p.signature, _ = base64.RawURLEncoding.DecodeString(parts[2])
	return p, err
}

// signedBy is how a good site checks a signature.
func signedBy(p jwt, key *ecdsa.PublicKey) bool {
	if p.header.Alg != "ES256" || p.header.Typ != "dbsc+jwt" || len(p.signature) != 64 || key == nil {
		return false
	}
	sum := sha256.Sum256([]byte(p.signed))
	return ecdsa.Verify(key, sum[:], new(mathbig.Int).SetBytes(p.signature[:32]), new(mathbig.Int).SetBytes(p.signature[32:]))
}

// brokenBound returns applications with a defect in how they bind logins.
func brokenBound() []brokenApp {
	const (
		copied, once   = "a copied cookie of a bound session ends", "a proof is good once"
		others, keys   = "a device is registered with the cookie of its login", "another key proves nothing"
		signature      = "a proof needs its signature"
		elsewhere      = "registration and refresh are for no other site"
		withoutPolicy  = "without Cross-Origin-Resource-Policy"
		foundByTheName = "registers a device without a cookie"
	)
	bad := func(change func(b *bonds)) func(s *site) {
		return func(s *site) { change(newBonds(s)) }
	}
	unless := func(token string, before, skip bool, s *site) {
		if before != skip {
			time.AfterFunc(bondLife, func() { s.drop(token) })
		}
	}
	return []brokenApp{
		{copied, "only the browser forgets it", "the cookie of the registration still", bad(func(b *bonds) {
			b.end = func(token string, before bool) { unless(token, before, false, b.s) }
		}), binding},
		{copied, "the cookie of the login goes on", "from before the registration still", bad(func(b *bonds) {
			b.end = func(token string, before bool) { unless(token, before, true, b.s) }
		}), binding},
		{once, "it forgets nothing", "that was sent before", bad(func(b *bonds) {
			b.once = func(*bonded, string) {}
		}), binding},
		{others, "the challenge finds the session", foundByTheName, bad(func(b *bonds) {
			b.who = func(r *http.Request, p jwt) string {
				if token := b.s.find(r); token != "" {
					return token
				}
				return b.offered[p.claims.JTI]
			}
		}), binding},
		{others, "any challenge will do", "the cookie of user 1", bad(func(b *bonds) {
			b.answers = func(p jwt, _ string) bool { return b.offered[p.claims.JTI] != "" }
		}), binding},
		{keys, "a session has many devices", "registers a second device", bad(func(b *bonds) {
			b.second = func(string) bool { return true }
		}), binding},
		{keys, "a bound cookie registers any device", "registers a second device", bad(func(b *bonds) {
			b.second = func(token string) bool { return b.given[token] }
			b.answers = func(p jwt, token string) bool { return b.given[token] || p.claims.JTI == b.challenge(token) }
		}), binding},
		{keys, "a refresh brings its key", "(the proof contains that key: true)", bad(func(b *bonds) {
			b.verify = func(p jwt, key *ecdsa.PublicKey) bool {
				return signedBy(p, key) || p.header.JWK != nil && signedBy(p, p.header.JWK.public())
			}
		}), binding},
		{signature, "none is an algorithm", "with the algorithm none", bad(func(b *bonds) {
			b.verify = func(p jwt, key *ecdsa.PublicKey) bool { return p.header.Alg == "none" || signedBy(p, key) }
		}), binding},
		{signature, "it may be missing", "without a signature", bad(func(b *bonds) {
			b.verify = func(p jwt, key *ecdsa.PublicKey) bool {
				return p.header.Alg == "ES256" && len(p.signature) == 0 || signedBy(p, key)
			}
		}), binding},
		{elsewhere, "any site may embed it", withoutPolicy, bad(func(b *bonds) {
			b.guard = func(http.ResponseWriter, *http.Request) {}
		}), binding},
		{elsewhere, "CORS allows it", "Access-Control-Allow-Origin", bad(func(b *bonds) {
			b.guard = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
				w.Header().Set("Access-Control-Allow-Origin", "*")
			}
		}), binding},
	}
}

// TestBoundRefused: an application whose description says that it binds, and which does
// not, or not always, fails all checks of that.
func TestBoundRefused(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(b *bonds){
		"no Secure-Session-Registration":        func(b *bonds) { b.s.offer = func(http.ResponseWriter, string) {} },
		"without the instructions of a session": func(b *bonds) { b.verify = func(jwt, *ecdsa.PublicKey) bool { return false } },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			s := newSite()
			change(newBonds(s))
			app := s.app()
			binding(&app)
			e, err := newEnv(t, s.handler(), app)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range boundChecks() {
				if err := c.run(e); err == nil {
					t.Errorf("%s: the check passes", c.Name)
				} else if c.Name != "a device is registered with the cookie of its login" && !strings.Contains(err.Error(), want) {
					t.Errorf("%s: got %v, want something of %q", c.Name, err, want)
				}
			}
		})
	}
}
