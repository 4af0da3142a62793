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
	"github.com/mist-contrib/session/internal/lifetime"
	"github.com/mist-contrib/session/internal/private"
	"github.com/mist-contrib/session/internal/token"
)

// A Propagator carries the identifier in a cookie. The zero value is ready to use and
// has the safest settings: the cookie is named __Host-Http-session, is Secure, HttpOnly
// and SameSite=Lax, belongs to one host, and ends with the browser. Over plain http most
// browsers drop it, so set Insecure during development.
//
// Browsers would drop some combinations of the fields. For these, and for those that
// break the promise of a prefix, every call and [Propagator.Check] return an error. A
// Propagator is safe for concurrent use. Its fields must not change after the first call.
//
// The Propagator ignores a cookie that is quoted, empty or malformed
// ([session.ErrNotFound]). It refuses a request with two cookies of the name
// ([session.ErrMultiple]): an attacker or an earlier deploy (see Former) set one of them,
// and the server cannot tell which.
//
// The cookie does not protect from everything. A script on the page cannot read it, but
// can use the session while the page is open. A sibling host can overwrite a cookie
// whose name has no __Host- prefix. SameSite=Lax alone does not stop forged requests of a
// sibling host (use [http.CrossOriginProtection]).
type Propagator struct {
	// Name is the name of the cookie. The default is "__Host-Http-session", or
	// "session" with Insecure. With the prefixes __Host-, __Secure-, __Http- and
	// __Host-Http- browsers demand certain values of the other fields.
	Name string

	// Path limits the cookie to the URLs below it. The default is "/".
	Path string

	// Domain extends the cookie to the subdomains of a domain, and needs a Name without
	// __Host-. By default only the host that set the cookie gets it, which is safer.
	Domain string

	// SameSite says which requests of other sites carry the cookie. The default is
	// [http.SameSiteLaxMode]. [http.SameSiteDefaultMode] is an error, because its
	// meaning depends on the browser.
	SameSite http.SameSite

	// MaxAge is how long the browser keeps the cookie, in whole seconds. Zero means
	// until the browser ends. Other values are between a second and 400 days, the
	// maximum of browsers. With one, [session.Manager] RefreshSession sets the cookie
	// again. The store alone decides how long the session lives.
	MaxAge time.Duration

	// Partitioned gives each top-level site its own cookie (CHIPS), for pages that are
	// embedded in others.
	Partitioned bool

	// Insecure lets the cookie travel over plain http, for development only. The
	// default name then has no prefix and the cookie is not Secure. A Name with a
	// prefix, SameSite=None and Partitioned are errors.
	Insecure bool

	// Former lists the attributes of this cookie in earlier deploys. Without it, a
	// change of Path or Domain leaves visitors with two cookies, and the Propagator
	// refuses all their requests ([session.ErrMultiple]). The Propagator expires the
	// former cookies whenever it sets or removes the cookie. A [session.Manager] also
	// expires them when a request carries two. Keep an entry for as long as browsers
	// may keep such a cookie.
	Former []Former

	once     sync.Once
	invalid  error
	cookie   http.Cookie // without a value
	former   []string    // Set-Cookie lines that expire the former cookies
	maxValue int         // bytes of the longest value

	beforeMaxAge, afterMaxAge string // the attributes of a Set-Cookie line around Max-Age
}

// A noCookieError matches two errors and allocates nothing: every request without a cookie
// gets it.
type noCookieError struct{}

func (noCookieError) Error() string {
	return session.ErrNotFound.Error() + ": " + http.ErrNoCookie.Error()
}

func (noCookieError) Is(target error) bool {
	return target == session.ErrNotFound || target == http.ErrNoCookie
}

// Former has the attributes of a cookie in an earlier deploy.
type Former struct {
	Path   string // empty: "/"
	Domain string // empty: only the host that set the cookie
}

const (
	defaultName         = "__Host-Http-session"
	defaultInsecureName = "session"

	maxAge       = lifetime.Max
	maxSize      = 4096 // of name and value (rfc6265bis 5.7), and with the attributes in RFC 6265, 6.1
	maxAttribute = 1024 // rfc6265bis 5.6
)

var (
	_ session.Propagator = (*Propagator)(nil)
	_ session.Expiring   = (*Propagator)(nil)
	_ session.Persistent = (*Propagator)(nil)
	_ session.Limited    = (*Propagator)(nil)
	_ session.Forgetter  = (*Propagator)(nil)
	_ session.Bindable   = (*Propagator)(nil)

	errNoPropagator = errors.New("cookie: Propagator is nil")
	errNoRequest    = errors.New("cookie: request is nil")
	errNoWriter     = errors.New("cookie: response writer is nil")
	errLifetime     = errors.New("cookie: InjectFor: time is not positive")

	errMalformed = fmt.Errorf("%w: malformed cookie", session.ErrNotFound)
	errUnfit     = fmt.Errorf("%w: cannot be a cookie's value", session.ErrInvalidID)
)

// Check returns an error if the fields are wrong.
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
		return errors.New("cookie: SameSite must be Lax, Strict or None")
	case p.Insecure && prefixed:
		return errors.New("cookie: the prefix of Name forbids Insecure")
	case p.Insecure && c.SameSite == http.SameSiteNoneMode:
		return errors.New("cookie: SameSite=None forbids Insecure")
	case p.Insecure && p.Partitioned:
		return errors.New("cookie: Partitioned forbids Insecure")
	case host && c.Domain != "":
		return errors.New("cookie: the prefix __Host- of Name forbids Domain")
	case host && c.Path != "/":
		return errors.New("cookie: the prefix __Host- of Name forbids a Path other than /")
	case c.Path[0] != '/' || len(c.Path) > maxAttribute:
		return fmt.Errorf("cookie: Path does not begin with / or is over %d bytes", maxAttribute)
	case len(c.Domain) > maxAttribute:
		return fmt.Errorf("cookie: Domain is over %d bytes", maxAttribute)
	case len(c.Name) > maxSize/2:
		return fmt.Errorf("cookie: Name is over %d bytes", maxSize/2)
	}
	// http.SetCookie would silently drop a cookie with invalid characters.
	if err := c.Valid(); err != nil {
		return fmt.Errorf("cookie: Name, Path or Domain: %w", err)
	}
	if host && len(p.Former) > 0 {
		return errors.New("cookie: the prefix __Host- of Name forbids Former, because it allows no other Path or Domain")
	}
	for _, f := range p.Former {
		if err := p.expire(f); err != nil {
			return err
		}
	}
	longest := *c
	longest.MaxAge = int(maxAge / time.Second)
	line := longest.String()
	p.maxValue = maxSize - len(line)
	p.beforeMaxAge, p.afterMaxAge, _ = strings.Cut(line[len(c.Name)+len("="):], "; Max-Age="+strconv.Itoa(longest.MaxAge))
	return nil
}

// expire prepares the line that expires a former cookie.
func (p *Propagator) expire(f Former) error {
	c := p.cookie
	c.Path, c.Domain, c.MaxAge = cmp.Or(f.Path, "/"), f.Domain, -1
	domain := func(s string) string { return strings.ToLower(strings.TrimPrefix(s, ".")) }
	switch {
	case c.Path == p.cookie.Path && domain(c.Domain) == domain(p.cookie.Domain):
		return errors.New("cookie: Former has the Path and Domain of the cookie itself")
	case c.Path[0] != '/' || len(c.Path) > maxAttribute || len(c.Domain) > maxAttribute:
		return fmt.Errorf("cookie: Former: Path does not begin with /, or Path or Domain is over %d bytes", maxAttribute)
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

// Limit returns the cookie's name and the size of the longest value. Name, value and
// attributes may have 4096 bytes together: proxies and browsers silently drop longer cookies.
func (p *Propagator) Limit() (name string, maxToken int) {
	if p.Check() != nil {
		return "", 0
	}
	return p.cookie.Name, p.maxValue
}

// Bindable returns an error if browsers cannot bind the cookie to their device. Chromium
// refuses names with the prefix __Host-Http- or __Http-, and Partitioned cookies. The
// cookie must have no Domain, and its Path must include the URLs below path. The name
// "__Host-session" works.
func (p *Propagator) Bindable(path string) error {
	if err := p.Check(); err != nil {
		return err
	}
	name := strings.ToLower(p.cookie.Name)
	switch {
	case strings.HasPrefix(name, "__host-http-") || strings.HasPrefix(name, "__http-"):
		return errors.New("cookie: no browser binds a Name with the prefix __Host-Http- or __Http- to a device; use __Host-session")
	case p.Partitioned:
		return errors.New("cookie: no browser binds a Partitioned cookie to a device")
	case p.Domain != "":
		return errors.New("cookie: a cookie that is bound to a device must have no Domain, because other hosts could not renew it")
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "":
		return errors.New("cookie: Name of a cookie that is bound to a device must have only letters, digits, hyphen, underscore and dot")
	case !strings.HasPrefix(path+"/", strings.TrimSuffix(p.cookie.Path, "/")+"/"):
		return errors.New("cookie: Path does not reach the handler at DevicePath")
	}
	return nil
}

// Inject sets the cookie. It replaces every Set-Cookie of the same name in the header, and
// adds Cache-Control: no-store and Vary: Cookie, so that no cache gives the cookie to
// another client. Call it before the response is written. Inject fails with
// [session.ErrInvalidID] and leaves the header as it was if id is empty, has a character
// that no cookie may have, or is longer than 4096 bytes with the name.
func (p *Propagator) Inject(id string, writer http.ResponseWriter) error {
	return p.inject(id, p.Lifetime(), writer)
}

// InjectFor does the same as Inject, but the browser keeps the cookie for lifetime instead
// of MaxAge, also when it is closed. lifetime is rounded up to the second and limited to
// 400 days. InjectFor fails if lifetime is not positive.
func (p *Propagator) InjectFor(id string, lifetime time.Duration, writer http.ResponseWriter) error {
	if lifetime <= 0 {
		return errLifetime
	}
	return p.inject(id, min(lifetime, maxAge)+time.Second-1, writer)
}

// inject sets the cookie. Max-Age is lifetime in whole seconds; zero means no Max-Age.
func (p *Propagator) inject(id string, lifetime time.Duration, writer http.ResponseWriter) error {
	if err := p.Check(); err != nil {
		return err
	}
	if !token.CookieValue(id) || len(p.cookie.Name)+len(id) > maxSize {
		return errUnfit
	}
	return p.set(writer, id, int(lifetime/time.Second))
}

// Remove expires the cookie. It uses the attributes of Inject, because a browser would
// keep the cookie otherwise, and adds the same headers.
func (p *Propagator) Remove(writer http.ResponseWriter) error {
	if err := p.Check(); err != nil {
		return err
	}
	return p.set(writer, "", -1)
}

// set sets the cookie. The value must be valid; maxAge is as in [http.Cookie].
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
	private.Set(h, "Set-Cookie", append(others, p.former...), p.cookie.Name+"="+value+p.beforeMaxAge+age+p.afterMaxAge, "Cookie")
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
	if last := len(p.former) - 1; last >= 0 {
		h := writer.Header()
		others := slices.DeleteFunc(h["Set-Cookie"], func(line string) bool { return slices.Contains(p.former, line) })
		private.Set(h, "Set-Cookie", append(others, p.former[:last]...), p.former[last], "Cookie")
	}
	return nil
}

// Extract returns the value of the cookie. Without a cookie it fails with an error that
// matches [session.ErrNotFound] and [http.ErrNoCookie]. It fails with ErrNotFound if the
// cookie is quoted, empty or malformed, and with [session.ErrMultiple] if there are two.
// Any number of other cookies in the request costs no memory.
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
