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

// A jar keeps cookies as the strictest browsers do (rfc6265bis 5.7). That of
// net/http knows neither prefixes nor limits. A site is visited by http or by
// https, not by both.
type jar struct {
	mu      sync.Mutex
	kept    []kept // oldest first
	refused []string
}

type kept struct {
	name, value string
	domain      string // host, or domain with its subdomains
	hostOnly    bool
	path        string
	secure      bool
	partitioned bool      // it is not the cookie of the same name that is not
	expires     time.Time // zero: when the browser ends
}

const (
	maxPair     = 4096 // bytes of a name and its value
	maxLifetime = 400 * 24 * time.Hour
)

// A refusal says why a browser does not keep a cookie.
var (
	errUnparsed   = errors.New("it is not the syntax of a cookie")
	errTooLong    = errors.New("name and value are over 4096 bytes")
	errDomain     = errors.New("its Domain is not that of the host")
	errPlain      = errors.New("it is Secure, and came over plain http")
	errNoneSecure = errors.New("it is SameSite=None without Secure")
	errPartSecure = errors.New("it is Partitioned without Secure")
	errPrefix     = errors.New("it breaks the rules of its prefix: Secure, for __Host- also Path=/ and no Domain, for __Http- HttpOnly")
)

// set takes the Set-Cookie lines of an answer from u.
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
	k := kept{name: c.Name, value: raw(c), domain: u.Hostname(), hostOnly: true, path: c.Path, secure: c.Secure, partitioned: c.Partitioned}
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
	at := slices.IndexFunc(j.kept, func(o kept) bool {
		return o.name == k.name && o.domain == k.domain && o.hostOnly == k.hostOnly && o.path == k.path && o.partitioned == k.partitioned
	})
	dead := !k.expires.IsZero() && !k.expires.After(now)
	switch {
	case at >= 0 && dead:
		j.kept = slices.Delete(j.kept, at, at+1)
	case at >= 0:
		j.kept[at] = k
	case !dead:
		j.kept = append(j.kept, k)
	}
	return nil
}

// expiry is when a browser forgets c; Max-Age counts before Expires.
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

// prefixKept reports whether c keeps what the prefix of its name promises.
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

// defaultPath is that of a cookie without a Path (rfc6265bis 5.1.4).
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

// under reports whether a path is another one or below it.
func under(path, of string) bool {
	rest, ok := strings.CutPrefix(path, of)
	return ok && (rest == "" || strings.HasSuffix(of, "/") || rest[0] == '/')
}

// raw is the value as browsers keep it: with its quotes.
func raw(c *http.Cookie) string {
	if c.Quoted {
		return `"` + c.Value + `"`
	}
	return c.Value
}

// cookies returns what a browser sends to u, in its order.
func (j *jar) cookies(u *url.URL) []kept {
	j.mu.Lock()
	defer j.mu.Unlock()
	path, now := u.Path, time.Now()
	if path == "" {
		path = "/"
	}
	var sent []kept
	for _, k := range j.kept {
		host := u.Hostname() == k.domain || !k.hostOnly && within(u.Hostname(), k.domain)
		alive := k.expires.IsZero() || k.expires.After(now)
		if host && alive && under(path, k.path) && (!k.secure || u.Scheme == "https") {
			sent = append(sent, k)
		}
	}
	slices.SortStableFunc(sent, func(a, b kept) int { return len(b.path) - len(a.path) })
	return sent
}

// header returns the value of the Cookie header for u.
func header(sent []kept) string {
	pairs := make([]string, len(sent))
	for i, k := range sent {
		pairs[i] = k.name + "=" + k.value
	}
	return strings.Join(pairs, "; ")
}
