package sessionaudit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// An offer is a login's invitation to browsers to bind it to their device.
type offer struct{ path, challenge, authorization string }

var (
	offered   = regexp.MustCompile(`;\s*(path|challenge|authorization)="([^"\\]*)"`)
	challenge = regexp.MustCompile(`^\s*"([^"\\]*)"(.*)$`)
)

// offerOf returns the offer of the last answer that has one.
func offerOf(answers []answer) (o offer, ok bool) {
	for _, a := range slices.Backward(answers) {
		if line := a.header.Get("Secure-Session-Registration"); line != "" {
			for _, m := range offered.FindAllStringSubmatch(line, -1) {
				switch m[1] {
				case "path":
					o.path = m[2]
				case "challenge":
					o.challenge = m[2]
				case "authorization":
					o.authorization = m[2]
				}
			}
			return o, strings.HasPrefix(o.path, "/") && o.challenge != ""
		}
	}
	return o, false
}

// A device is a browser with a key that it binds its login to.
type device struct {
	b     *Browser
	offer offer
	key   *ecdsa.PrivateKey

	id, refreshAt string   // from the site's instructions
	names         []string // of the bound cookies
	challenge     string   // for the next proof; empty: ask the site
}

var errNoOffer = errors.New("the answer of App.Login has no Secure-Session-Registration with a path and a challenge")

// newDevice logs a user in with a new browser and makes its key. The device is not
// registered yet.
func (e *env) newDevice(user int) (*device, error) {
	b := e.browser()
	e.mu.Lock()
	before := len(e.seen)
	e.mu.Unlock()
	if _, err := e.login(b, user); err != nil {
		return nil, err
	}
	e.mu.Lock()
	o, ok := offerOf(e.seen[before:])
	e.mu.Unlock()
	if !ok {
		return nil, errNoOffer
	}
	return (&device{b: b, offer: o}).withNewKey()
}

// bound returns a registered device of user 0.
func (e *env) bound() (*device, error) {
	d, err := e.newDevice(0)
	if err != nil {
		return nil, err
	}
	a, err := d.register()
	if err == nil && !d.instructed(a) {
		err = noInstructions(a)
	}
	return d, err
}

// withNewKey returns a copy of the device with another key.
func (d *device) withNewKey() (*device, error) {
	other := *d
	var err error
	other.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &other, err
}

// sign makes the JWT of a proof.
func (d *device) sign(challenge string, withKey bool) (string, error) {
	header := map[string]any{"alg": "ES256", "typ": "dbsc+jwt"}
	if withKey {
		point, err := d.key.PublicKey.Bytes() // the bytes are 4, x, y
		if err != nil {
			return "", err
		}
		header["jwk"] = map[string]string{"kty": "EC", "crv": "P-256", "x": segment(point[1:33]), "y": segment(point[33:])}
	}
	claims := map[string]string{"jti": challenge}
	if withKey && d.offer.authorization != "" {
		claims["authorization"] = d.offer.authorization
	}
	var parts []string
	for _, part := range []any{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		parts = append(parts, segment(text))
	}
	signed := strings.Join(parts, ".")
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, d.key, sum[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + segment(signature), nil
}

func segment(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// post sends the request of a registration or refresh from b. An attacker may change it.
func (d *device) post(b *Browser, path, proof string, changes ...change) (answer, error) {
	req, err := http.NewRequestWithContext(b.env.tb.Context(), http.MethodPost, path, nil)
	if err != nil {
		return answer{}, fmt.Errorf("%q is not a path", path)
	}
	req.Header.Set("Sec-Fetch-Mode", "no-cors") // as Chromium does
	req.Header.Set("Sec-Fetch-Dest", "empty")
	if d.id != "" {
		req.Header.Set("Sec-Secure-Session-Id", d.id)
	}
	if proof != "" {
		req.Header.Set("Secure-Session-Response", proof)
	}
	return b.send(req, changes...)
}

// register registers the device with the cookies of its browser.
func (d *device) register() (answer, error) {
	return d.registerFrom(d.b)
}

// registerFrom registers the device with the cookies of b.
func (d *device) registerFrom(b *Browser) (answer, error) {
	proof, err := d.sign(d.offer.challenge, true)
	if err != nil {
		return answer{}, err
	}
	a, err := d.post(b, d.offer.path, proof)
	if err == nil {
		d.readInstructions(a)
	}
	return a, err
}

// ask returns a challenge for the device.
func (d *device) ask() (string, error) {
	if d.challenge == "" {
		a, err := d.post(d.b, d.refreshAt, "")
		if err != nil {
			return "", err
		}
		if d.readInstructions(a); d.challenge == "" {
			return "", fmt.Errorf("%s without a proof is answered %d, without a Secure-Session-Challenge", a.to, a.status)
		}
	}
	asked := d.challenge
	d.challenge = ""
	return asked, nil
}

// proof returns a new proof, which the site must accept once.
func (d *device) proof() (string, error) {
	asked, err := d.ask()
	if err != nil {
		return "", err
	}
	return d.sign(asked, false)
}

// refresh gets a new cookie, as a browser does.
func (d *device) refresh() error {
	proof, err := d.proof()
	if err != nil {
		return err
	}
	a, err := d.post(d.b, d.refreshAt, proof)
	if err == nil && !d.refreshed(a) {
		err = fmt.Errorf("%s with the proof of the device is answered %d, without the bound cookie", a.to, a.status)
	}
	d.readInstructions(a)
	return err
}

// instructions tell a browser how to refresh the cookie of its session.
type instructions struct {
	ID          string `json:"session_identifier"`
	Refresh     string `json:"refresh_url"`
	Continue    *bool  `json:"continue"`
	Credentials []struct {
		Name string `json:"name"`
	} `json:"credentials"`
}

// instructed reports whether an answer contains the instructions for a bound session.
func (*device) instructed(a answer) bool {
	var in instructions
	return a.status == http.StatusOK && json.Unmarshal([]byte(a.body), &in) == nil && in.ID != "" && (in.Continue == nil || *in.Continue)
}

// readInstructions stores the challenge and the instructions of an answer.
func (d *device) readInstructions(a answer) {
	for _, line := range a.header["Secure-Session-Challenge"] {
		if m := challenge.FindStringSubmatch(line); m != nil {
			d.challenge = m[1]
		}
	}
	var in instructions
	if !d.instructed(a) || json.Unmarshal([]byte(a.body), &in) != nil {
		return
	}
	d.id, d.refreshAt, d.names = in.ID, d.offer.path, nil
	if at, err := d.b.env.url.Parse(in.Refresh); err == nil && in.Refresh != "" {
		d.refreshAt = at.RequestURI()
	}
	for _, c := range in.Credentials {
		d.names = append(d.names, c.Name)
	}
}

// refreshed reports whether an answer sets a cookie that is bound to the device.
func (d *device) refreshed(a answer) bool {
	return slices.ContainsFunc(d.names, func(name string) bool {
		return slices.ContainsFunc(a.cookies(name), func(c *http.Cookie) bool { return !deletes(c) })
	})
}
