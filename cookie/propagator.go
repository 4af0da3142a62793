// Package cookie carries the identifier of a session in a cookie (RFC 6265 and
// its successor in draft, rfc6265bis).
package cookie

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/token"
	"github.com/mist-contrib/session/internal/vary"
)

// A Propagator carries the identifier in a cookie. The zero value is ready to
// use and the safest there is: a cookie named __Host-Http-session that is
// Secure, HttpOnly, SameSite=Lax, for the whole host and no other, and forgotten
// when the browser ends. Over plain http no browser keeps it, save some on
// localhost; set Insecure while developing.
//
// Combinations that a browser would drop, or that lose what a prefix of the name
// promises, are an error from every call and from [Propagator.Check].
// A Propagator is safe for concurrent use; its fields must not change after the
// first call.
//
// A request whose cookie is quoted, empty or malformed carries none for it
// ([session.ErrNotFound]), and one with two cookies of the name is refused
// ([session.ErrMultiple]): one of them was put there by somebody else, or by an
// earlier deploy (see Former), and nothing tells which.
//
// Not protected: a script on the page can use the session while the page is
// open, though it cannot read the cookie; a sibling host can overwrite a cookie
// whose name has no __Host- prefix; SameSite=Lax alone does not stop
// forged requests from a sibling host (use [http.CrossOriginProtection]).
type Propagator struct {
	// Name is the name of the cookie. Empty: "__Host-Http-session", or
	// "session" when Insecure. The prefixes __Host-, __Secure-, __Http- and
	// __Host-Http- bind browsers to what the other fields then must say.
	Name string

	// Path is where the cookie is sent to. Empty: "/".
	Path string

	// Domain extends the cookie to the subdomains of a domain. Empty: the host
	// that set it and no other, which is safer. It takes a Name without __Host-.
	Domain string

	// SameSite is when other sites' requests carry the cookie. Zero:
	// [http.SameSiteLaxMode]. [http.SameSiteDefaultMode] is an error, because
	// browsers differ in what it means.
	SameSite http.SameSite

	// MaxAge is how long the browser keeps the cookie, to the second below.
	// Zero: until the browser ends. Otherwise between a second and 400 days
	// (the most that browsers accept); [session.Manager] RefreshSession then
	// sets the cookie anew. How long the session lives is the store's business.
	MaxAge time.Duration

	// Partitioned keeps a cookie jar for each top-level site (CHIPS), for pages
	// that are embedded in others.
	Partitioned bool

	// Insecure lets the cookie travel over plain http, for development only: the
	// default name has no prefix then and the cookie no Secure, and a Name with
	// a prefix, SameSite=None and Partitioned are errors.
	Insecure bool

	// Former are the attributes that the cookie of this Name had before a deploy
	// changed Path or Domain. Without it, every visitor of before has two cookies
	// then, and is refused ([session.ErrMultiple]). The cookies with these attributes
	// are expired whenever the cookie is set or removed, and, with a [session.Manager],
	// when a request carries two. Keep an entry for as long as browsers may keep
	// such a cookie.
	Former []Former

	once    sync.Once
	invalid error
	cookie  http.Cookie // all but the value
	former  []string    // Set-Cookie lines that expire cookies of before
	room    int         // for the value

	before, behind string // the attributes of a Set-Cookie line around Max-Age, made once
}

// A noCookieError matches two errors at a quarter of what it takes to find them in a
// tree of errors. Most requests of visitors end with it.
type noCookieError struct{}

func (noCookieError) Error() string {
	return session.ErrNotFound.Error() + ": " + http.ErrNoCookie.Error()
}

func (noCookieError) Is(target error) bool {
	return target == session.ErrNotFound || target == http.ErrNoCookie
}

// Former are attributes that a cookie had before.
type Former struct {
	Path   string // empty: "/"
	Domain string // empty: the host that set it and no other
}

const (
	defaultName         = "__Host-Http-session"
	defaultInsecureName = "session"

	maxAge       = 400 * 24 * time.Hour
	maxSize      = 4096 // of name and value together, rfc6265bis 5.7; RFC 6265, 6.1 has the attributes among it
	maxAttribute = 1024 // rfc6265bis 5.6
)

var (
	_ session.Propagator = (*Propagator)(nil)
	_ session.Lasting    = (*Propagator)(nil)
	_ session.Keeper     = (*Propagator)(nil)
	_ session.Measured   = (*Propagator)(nil)
	_ session.Forgetter  = (*Propagator)(nil)
	_ session.Bindable   = (*Propagator)(nil)

	errNoPropagator = errors.New("cookie: Propagator is nil")
	errNoRequest    = errors.New("cookie: request is nil")
	errNoWriter     = errors.New("cookie: response writer is nil")
	errKeep         = errors.New("cookie: InjectFor: time is not positive")

	errMalformed = fmt.Errorf("%w: malformed cookie", session.ErrNotFound)
	errUnfit     = fmt.Errorf("%w: cannot be a cookie's value", session.ErrInvalidID)
)

// Check reports what is wrong with the fields.
func (p *Propagator) Check() error {
	if p == nil {
		return errNoPropagator
	}
	p.once.Do(func() { p.invalid = p.init() })
	return p.invalid
}

func (p *Propagator) init() error {
	p.cookie = http.Cookie{
		Name:        p.Name,
		Path:        p.Path,
		Domain:      p.Domain,
		SameSite:    p.SameSite,
		Partitioned: p.Partitioned,
		Secure:      !p.Insecure,
		HttpOnly:    true,
	}
	c := &p.cookie
	if c.Name == "" {
		c.Name = defaultName
		if p.Insecure {
			c.Name = defaultInsecureName
		}
	}
	if c.Path == "" {
		c.Path = "/"
	}
	if c.SameSite == 0 {
		c.SameSite = http.SameSiteLaxMode
	}
	// Browsers compare prefixes without regard to case (rfc6265bis 5.7).
	name := strings.ToLower(c.Name)
	host := strings.HasPrefix(name, "__host-")
	prefixed := host || strings.HasPrefix(name, "__secure-") || strings.HasPrefix(name, "__http-")
	switch {
	case p.MaxAge != 0 && (p.MaxAge < time.Second || p.MaxAge > maxAge):
		return fmt.Errorf("cookie: MaxAge %v is not between a second and 400 days", p.MaxAge)
	case c.SameSite < http.SameSiteLaxMode || c.SameSite > http.SameSiteNoneMode:
		return errors.New("cookie: SameSite is none of Lax, Strict and None")
	case p.Insecure && prefixed:
		return errors.New("cookie: Insecure with a Name whose prefix demands Secure")
	case p.Insecure && c.SameSite == http.SameSiteNoneMode:
		return errors.New("cookie: Insecure with SameSite=None, which demands Secure")
	case p.Insecure && p.Partitioned:
		return errors.New("cookie: Insecure with Partitioned, which demands Secure")
	case host && c.Domain != "":
		return errors.New("cookie: Domain with a Name whose prefix __Host- forbids it")
	case host && c.Path != "/":
		return errors.New("cookie: Path other than / with a Name whose prefix __Host- forbids it")
	case c.Path[0] != '/' || len(c.Path) > maxAttribute:
		return fmt.Errorf("cookie: Path does not begin with / or is over %d bytes", maxAttribute)
	case len(c.Domain) > maxAttribute:
		return fmt.Errorf("cookie: Domain is over %d bytes", maxAttribute)
	case len(c.Name) > maxSize/2:
		return fmt.Errorf("cookie: Name is over %d bytes", maxSize/2)
	}
	// The characters; http.SetCookie would drop the cookie without a word.
	if err := c.Valid(); err != nil {
		return fmt.Errorf("cookie: Name, Path or Domain: %w", err)
	}
	if host && len(p.Former) > 0 {
		return errors.New("cookie: Former with a Name whose prefix __Host- allows no other Path or Domain")
	}
	for _, f := range p.Former {
		if err := p.expire(f); err != nil {
			return err
		}
	}
	longest := *c
	longest.MaxAge = int(maxAge / time.Second)
	line := longest.String()
	p.room = maxSize - len(line)
	p.before, p.behind, _ = strings.Cut(line[len(c.Name)+len("="):], "; Max-Age="+strconv.Itoa(longest.MaxAge))
	return nil
}

// expire prepares the line that expires a cookie of before.
func (p *Propagator) expire(f Former) error {
	c := p.cookie
	c.Path, c.Domain, c.MaxAge = cmp.Or(f.Path, "/"), f.Domain, -1
	domain := func(s string) string { return strings.ToLower(strings.TrimPrefix(s, ".")) }
	switch {
	case c.Path == p.cookie.Path && domain(c.Domain) == domain(p.cookie.Domain):
		return errors.New("cookie: Former has the Path and Domain of the cookie itself")
	case c.Path[0] != '/' || len(c.Path) > maxAttribute || len(c.Domain) > maxAttribute:
		return fmt.Errorf("cookie: Former has a Path that does not begin with /, or one of over %d bytes, or such a Domain", maxAttribute)
	}
	if err := c.Valid(); err != nil {
		return fmt.Errorf("cookie: Former: %w", err)
	}
	p.former = append(p.former, c.String())
	return nil
}

// Lifetime returns MaxAge.
func (p *Propagator) Lifetime() time.Duration {
	if p == nil {
		return 0
	}
	return p.MaxAge
}

// Measure returns the cookie's name, and how many bytes its value may have so that with
// name and attributes it has 4096, the longest Max-Age among them: proxies and browsers
// drop longer ones without a word.
func (p *Propagator) Measure() (name string, room int) {
	if p.Check() != nil {
		return "", 0
	}
	return p.cookie.Name, p.room
}

// Bindable returns an error where no browser binds the cookie to its device: where the
// prefix of Name is __Host-Http- or __Http-, which Chromium takes no instructions for, or
// where it is Partitioned, or where a cookie with this Path is not sent to what is below
// path. "__Host-session" is a name that works.
func (p *Propagator) Bindable(path string) error {
	if err := p.Check(); err != nil {
		return err
	}
	name := strings.ToLower(p.cookie.Name)
	switch {
	case strings.HasPrefix(name, "__host-http-") || strings.HasPrefix(name, "__http-"):
		return errors.New("cookie: Name with the prefix __Host-Http- or __Http-, which no browser binds to a device; take __Host-session")
	case p.Partitioned:
		return errors.New("cookie: Partitioned, which no browser binds to a device")
	case p.Domain != "":
		return errors.New("cookie: Domain with a binding: other hosts could not renew the cookie")
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "":
		return errors.New("cookie: Name that cannot name a binding to a device: it has other characters than letters, digits, hyphen, underscore and dot")
	case !strings.HasPrefix(path+"/", strings.TrimSuffix(p.cookie.Path, "/")+"/"):
		return errors.New("cookie: Path does not reach the handler at DevicePath")
	}
	return nil
}

// Inject sets the cookie. It takes the place of any Set-Cookie of the same name
// that is in the header, whoever put it there, and adds Cache-Control: no-store
// and Vary: Cookie, so that no cache hands it to somebody else. It must come
// before the response is written. [session.ErrInvalidID]: id is empty, too long
// (4096 bytes with the name) or has a character that no cookie takes; the header
// is then as it was.
func (p *Propagator) Inject(id string, writer http.ResponseWriter) error {
	return p.inject(id, p.Lifetime(), writer)
}

// InjectFor is Inject; the browser keeps the cookie that long, rounded up to the
// second, also over its end: 400 days at most, whatever is asked for. MaxAge does
// not matter then. An error where keep is not positive.
func (p *Propagator) InjectFor(id string, keep time.Duration, writer http.ResponseWriter) error {
	if keep <= 0 {
		return errKeep
	}
	return p.inject(id, min(keep, maxAge)+time.Second-1, writer)
}

// inject sets the cookie with a Max-Age of keep, to the second below; zero: none.
func (p *Propagator) inject(id string, keep time.Duration, writer http.ResponseWriter) error {
	if err := p.Check(); err != nil {
		return err
	}
	if !token.CookieValue(id) || len(p.cookie.Name)+len(id) > maxSize {
		return errUnfit
	}
	return p.set(writer, id, int(keep/time.Second))
}

// Remove sets the cookie to nothing and lets it expire, with the attributes it
// was set with: a browser keeps the old one otherwise. Headers as for Inject.
func (p *Propagator) Remove(writer http.ResponseWriter) error {
	if err := p.Check(); err != nil {
		return err
	}
	return p.set(writer, "", -1)
}

// set sets the cookie to a value that cookies can have, with a Max-Age as [http.Cookie]
// has it.
func (p *Propagator) set(writer http.ResponseWriter, value string, maxAge int) error {
	if writer == nil {
		return errNoWriter
	}
	h := writer.Header()
	others := slices.DeleteFunc(h["Set-Cookie"], func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		return strings.TrimSpace(name) == p.cookie.Name
	})
	age := ""
	if maxAge != 0 {
		age = "; Max-Age=" + strconv.Itoa(max(maxAge, 0))
	}
	put(h, append(append(others, p.former...), p.cookie.Name+"="+value+p.before+age+p.behind))
	return nil
}

// Forget expires the cookies of Former, and adds headers as Inject does. Without Former
// it does nothing.
func (p *Propagator) Forget(writer http.ResponseWriter) error {
	if err := p.Check(); err != nil {
		return err
	}
	if writer == nil {
		return errNoWriter
	}
	if len(p.former) > 0 {
		h := writer.Header()
		others := slices.DeleteFunc(h["Set-Cookie"], func(line string) bool { return slices.Contains(p.former, line) })
		put(h, append(others, p.former...))
	}
	return nil
}

// put stores the Set-Cookie lines of a response that no cache may keep.
func put(h http.Header, lines []string) {
	h["Set-Cookie"] = lines
	h.Set("Cache-Control", "no-store")
	vary.By(h, "Cookie")
}

// Extract returns the value of the cookie. None: an error that matches
// [session.ErrNotFound] and [http.ErrNoCookie]. Quoted, empty or malformed:
// ErrNotFound. Two: [session.ErrMultiple]. It reads the header as it is, so any
// number of other cookies cost time but no memory, and cannot hide ours.
func (p *Propagator) Extract(req *http.Request) (string, error) {
	if err := p.Check(); err != nil {
		return "", err
	}
	if req == nil {
		return "", errNoRequest
	}
	value, found := "", false
	for _, line := range req.Header["Cookie"] {
		for more := true; more; {
			var pair string
			pair, line, more = strings.Cut(line, ";")
			name, v, _ := strings.Cut(pair, "=")
			if strings.Trim(name, " \t") != p.cookie.Name {
				continue
			}
			if found {
				return "", session.ErrMultiple
			}
			value, found = strings.TrimRight(v, " \t"), true
		}
	}
	switch {
	case !found:
		return "", noCookieError{}
	case !token.CookieValue(value) || len(p.cookie.Name)+len(value) > maxSize:
		return "", errMalformed
	}
	return value, nil
}
