package sessionaudit

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// A jar stores cookies like the strictest browsers (rfc6265bis 5.7). The jar of net/http knows
// neither prefixes nor limits. A site uses either http or https, not both.
type jar struct {
	mu      sync.Mutex
	stored  []storedCookie // oldest first
	refused []string
}

type storedCookie struct {
	name, value string
	domain      string // host, or domain with its subdomains
	hostOnly    bool
	path        string
	secure      bool
	partitioned bool      // partitioned cookies are separate from others of the name
	expires     time.Time // zero: when the browser ends
}

const (
	maxPair     = 4096 // bytes of a name and its value
	maxLifetime = 400 * 24 * time.Hour
)

// The reasons why a browser refuses a cookie.
var (
	errUnparsed   = errors.New("it is malformed")
	errTooLong    = errors.New("name and value are over 4096 bytes")
	errDomain     = errors.New("its Domain does not match the host")
	errPlain      = errors.New("it is Secure but came over plain http")
	errNoneSecure = errors.New("it is SameSite=None without Secure")
	errPartSecure = errors.New("it is Partitioned without Secure")
	errPrefix     = errors.New("it breaks the rules of its prefix: Secure, for __Host- also Path=/ and no Domain, for __Http- HttpOnly")
)

// set stores the cookies of an answer from u.
func (j *jar) set(u *url.URL, lines []string) {
	for _, line := range lines {
		c, err := http.ParseSetCookie(line)
		if err == nil {
			err = j.setOne(u, c, time.Now())
		} else {
			err = errUnparsed // net/http's would quote it
		}
		if err != nil {
			name, _, _ := strings.Cut(line, "=")
			j.mu.Lock()
			j.refused = append(j.refused, name+": "+err.Error())
			j.mu.Unlock()
		}
	}
}

func (j *jar) setOne(u *url.URL, c *http.Cookie, now time.Time) error {
	k := storedCookie{name: c.Name, value: raw(c), domain: u.Hostname(), hostOnly: true, path: c.Path, secure: c.Secure, partitioned: c.Partitioned}
	if d := strings.ToLower(strings.TrimPrefix(c.Domain, ".")); d != "" {
		k.domain, k.hostOnly = d, false
	}
	if !strings.HasPrefix(k.path, "/") {
		k.path = defaultPath(u)
	}
	switch {
	case len(c.Name)+len(k.value) > maxPair:
		return errTooLong
	case !within(u.Hostname(), k.domain) || k.domain != u.Hostname() && !strings.Contains(k.domain, "."):
		return errDomain
	case c.Secure && u.Scheme != "https":
		return errPlain
	case c.SameSite == http.SameSiteNoneMode && !c.Secure:
		return errNoneSecure
	case c.Partitioned && !c.Secure:
		return errPartSecure
	case !prefixKept(c):
		return errPrefix
	}
	k.expires = expiry(c, now)
	j.mu.Lock()
	defer j.mu.Unlock()
	at := slices.IndexFunc(j.stored, func(o storedCookie) bool {
		return o.name == k.name && o.domain == k.domain && o.hostOnly == k.hostOnly && o.path == k.path && o.partitioned == k.partitioned
	})
	dead := !k.expires.IsZero() && !k.expires.After(now)
	switch {
	case at >= 0 && dead:
		j.stored = slices.Delete(j.stored, at, at+1)
	case at >= 0:
		j.stored[at] = k
	case !dead:
		j.stored = append(j.stored, k)
	}
	return nil
}

// expiry returns when a browser forgets c. Max-Age takes precedence over Expires.
func expiry(c *http.Cookie, now time.Time) time.Time {
	var at time.Time
	switch {
	case c.MaxAge < 0:
		return now
	case c.MaxAge > int(maxLifetime/time.Second):
		return now.Add(maxLifetime)
	case c.MaxAge > 0:
		return now.Add(time.Duration(c.MaxAge) * time.Second)
	case !c.Expires.IsZero():
		at = c.Expires
	}
	if at.After(now.Add(maxLifetime)) {
		at = now.Add(maxLifetime)
	}
	return at
}

// prefixKept reports whether c follows the rules of its name's prefix.
func prefixKept(c *http.Cookie) bool {
	name := strings.ToLower(c.Name)
	host, script := strings.HasPrefix(name, "__host-"), strings.HasPrefix(name, "__http-") || strings.HasPrefix(name, "__host-http-")
	switch {
	case host && (c.Path != "/" || c.Domain != ""), script && !c.HttpOnly:
		return false
	case host, script, strings.HasPrefix(name, "__secure-"):
		return c.Secure
	}
	return true
}

// defaultPath returns the path of a cookie without a Path (rfc6265bis 5.1.4).
func defaultPath(u *url.URL) string {
	i := strings.LastIndexByte(u.Path, '/')
	if i <= 0 {
		return "/"
	}
	return u.Path[:i]
}

// within reports whether host is domain or below it.
func within(host, domain string) bool {
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// under reports whether path is of or below it.
func under(path, of string) bool {
	rest, ok := strings.CutPrefix(path, of)
	return ok && (rest == "" || strings.HasSuffix(of, "/") || rest[0] == '/')
}

// raw returns the value with its quotes, as browsers store it.
func raw(c *http.Cookie) string {
	if c.Quoted {
		return `"` + c.Value + `"`
	}
	return c.Value
}

// cookies returns the cookies that a browser sends to u, in its order.
func (j *jar) cookies(u *url.URL) []storedCookie {
	j.mu.Lock()
	defer j.mu.Unlock()
	path, now := u.Path, time.Now()
	if path == "" {
		path = "/"
	}
	var sent []storedCookie
	for _, k := range j.stored {
		host := u.Hostname() == k.domain || !k.hostOnly && within(u.Hostname(), k.domain)
		alive := k.expires.IsZero() || k.expires.After(now)
		if host && alive && under(path, k.path) && (!k.secure || u.Scheme == "https") {
			sent = append(sent, k)
		}
	}
	slices.SortStableFunc(sent, func(a, b storedCookie) int { return len(b.path) - len(a.path) })
	return sent
}

// header returns the Cookie header for these cookies.
func header(sent []storedCookie) string {
	pairs := make([]string, len(sent))
	for i, k := range sent {
		pairs[i] = k.name + "=" + k.value
	}
	return strings.Join(pairs, "; ")
}
