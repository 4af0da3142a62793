package sessionaudit

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func mustParse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestJarKeeps: what a browser keeps, and what it sends where (rfc6265bis).
func TestJarKeeps(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 4095)
	for _, c := range []struct {
		from  string
		lines []string
		to    string
		want  string // the Cookie header
	}{
		{"https://a.test/", []string{"a=1"}, "https://a.test/", "a=1"},
		{"https://a.test/", []string{"a=1"}, "https://a.test", "a=1"},
		{"https://a.test", []string{"a=1"}, "https://a.test/", "a=1"},
		{"https://a.test/", []string{"a=1", "b=2", "a=3"}, "https://a.test/", "a=3; b=2"},
		{"https://a.test/", []string{`a="1"`}, "https://a.test/", `a="1"`},
		{"https://a.test/", []string{"a=1"}, "https://b.a.test/", ""},
		{"https://a.test/", []string{"=1", "a\x01=2", "nonsense;"}, "https://a.test/", ""},
		{"https://a.test/", []string{"a=" + big}, "https://a.test/", "a=" + big},
		{"https://a.test/", []string{"a=x" + big}, "https://a.test/", ""},

		{"https://b.a.test/", []string{"a=1; Domain=a.test"}, "https://c.a.test/", "a=1"},
		{"https://b.a.test/", []string{"a=1; Domain=.A.test"}, "https://a.test/", "a=1"},
		{"https://a.test/", []string{"a=1; Domain=a.test"}, "https://xa.test/", ""},
		{"https://a.test/", []string{"a=1; Domain=b.a.test"}, "https://b.a.test/", ""},
		{"https://a.test/", []string{"a=1; Domain=b.test"}, "https://b.test/", ""},
		{"https://a.test/", []string{"a=1; Domain=test"}, "https://a.test/", ""},
		{"https://localhost/", []string{"a=1; Domain=localhost"}, "https://localhost/", "a=1"},
		{"https://a.test/", []string{"a=1", "a=2; Domain=a.test"}, "https://a.test/", "a=1; a=2"},

		{"https://a.test/x/y", []string{"a=1"}, "https://a.test/x/z", "a=1"},
		{"https://a.test/x/y", []string{"a=1"}, "https://a.test/x", "a=1"},
		{"https://a.test/x/y", []string{"a=1"}, "https://a.test/xy", ""},
		{"https://a.test/x/y", []string{"a=1; Path=z"}, "https://a.test/", ""},
		{"https://a.test/x", []string{"a=1; Path=/x/"}, "https://a.test/x/y", "a=1"},
		{"https://a.test/x", []string{"a=1; Path=/x/"}, "https://a.test/x", ""},
		{"https://a.test/", []string{"a=1; Path=/", "b=2; Path=/x", "c=3; Path=/"}, "https://a.test/x", "b=2; a=1; c=3"},

		{"https://a.test/", []string{"a=1; Secure"}, "https://a.test/", "a=1"},
		{"https://a.test/", []string{"a=1; Secure"}, "http://a.test/", ""},
		{"http://a.test/", []string{"a=1; Secure"}, "https://a.test/", ""},
		{"http://a.test/", []string{"a=1"}, "http://a.test/", "a=1"},
		{"https://a.test/", []string{"a=1; SameSite=None"}, "https://a.test/", ""},
		{"https://a.test/", []string{"a=1; SameSite=None; Secure"}, "https://a.test/", "a=1"},
		{"https://a.test/", []string{"a=1; Partitioned"}, "https://a.test/", ""},
		{"https://a.test/", []string{"a=1; Partitioned; Secure"}, "https://a.test/", "a=1"},

		{"https://a.test/", []string{"__Host-a=1; Secure; Path=/"}, "https://a.test/", "__Host-a=1"},
		{"https://a.test/", []string{"__Host-a=1; Path=/"}, "https://a.test/", ""},
		{"https://a.test/", []string{"__host-a=1; Path=/"}, "https://a.test/", ""},
		{"https://a.test/", []string{"__Host-a=1; Secure"}, "https://a.test/", ""},
		{"https://a.test/", []string{"__Host-a=1; Secure; Path=/x"}, "https://a.test/x", ""},
		{"https://a.test/", []string{"__Host-a=1; Secure; Path=/; Domain=a.test"}, "https://a.test/", ""},
		{"https://a.test/", []string{"__Secure-a=1; Secure; Path=/x"}, "https://a.test/x", "__Secure-a=1"},
		{"https://a.test/", []string{"__Secure-a=1"}, "https://a.test/", ""},
		{"https://a.test/", []string{"__Http-a=1; Secure; HttpOnly"}, "https://a.test/", "__Http-a=1"},
		{"https://a.test/", []string{"__Http-a=1; Secure"}, "https://a.test/", ""},
		{"https://a.test/", []string{"__Http-a=1; HttpOnly"}, "https://a.test/", ""},
		{"https://a.test/", []string{"__Host-Http-a=1; Secure; Path=/; HttpOnly"}, "https://a.test/", "__Host-Http-a=1"},
		{"https://a.test/", []string{"__Host-Http-a=1; Secure; Path=/"}, "https://a.test/", ""},

		{"https://a.test/", []string{"a=1", "a=; Max-Age=0"}, "https://a.test/", ""},
		{"https://a.test/", []string{"a=1", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"}, "https://a.test/", ""},
		{"https://a.test/", []string{"a=1", "a=2; Max-Age=9; Expires=Thu, 01 Jan 1970 00:00:00 GMT"}, "https://a.test/", "a=2"},
		{"https://a.test/", []string{"a=1", "a=; Max-Age=0; Path=/x"}, "https://a.test/", "a=1"},
		{"https://a.test/", []string{"a=1", "a=; Max-Age=0; Secure; Partitioned"}, "https://a.test/", "a=1"},
		{"https://a.test/", []string{"a=1; Secure; Partitioned", "a=; Max-Age=0; Secure"}, "https://a.test/", "a=1"},
		{"https://a.test/", []string{"a=1; Secure; Partitioned", "a=; Max-Age=0; Secure; Partitioned"}, "https://a.test/", ""},
		{"https://a.test/", []string{"a=1", "a=; Max-Age=0; Domain=a.test"}, "https://a.test/", "a=1"},
		{"https://a.test/", []string{"__Host-a=1; Secure; Path=/", "__Host-a=; Max-Age=0; Path=/"}, "https://a.test/", "__Host-a=1"},
	} {
		var j jar
		j.set(mustParse(t, c.from), c.lines)
		if got := header(j.cookies(mustParse(t, c.to))); got != c.want {
			t.Errorf("%s sets %.60q: to %s goes %.60q, want %.60q", c.from, c.lines, c.to, got, c.want)
		}
	}
}

// TestJarForgets: when a browser forgets a cookie; 400 days are the most.
func TestJarForgets(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for line, want := range map[string]time.Duration{
		"a=1; Max-Age=5":        5 * time.Second,
		"a=1; Max-Age=34560000": maxLifetime,
		"a=1; Max-Age=34560001": maxLifetime,
		"a=1; Max-Age=0":        0,
		"a=1; Expires=" + now.Add(9999*time.Hour).UTC().Format(http.TimeFormat): maxLifetime,
		"a=1; Expires=" + now.Add(99*time.Hour).UTC().Format(http.TimeFormat):   99 * time.Hour,
		"a=1; Max-Age=5; Expires=" + now.Add(time.Hour).Format(http.TimeFormat): 5 * time.Second,
	} {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			t.Fatal(err)
		}
		if got := expiry(c, now).Sub(now); got > want || got < want-time.Second {
			t.Errorf("%s: got %v, want %v", line, got, want)
		}
	}
	c := &http.Cookie{Name: "a", Value: "1"}
	if !expiry(c, now).IsZero() {
		t.Error("a cookie without a time: got one, want none")
	}
	// It is not sent when its time is over.
	u, j := mustParse(t, "https://a.test/"), new(jar)
	c.MaxAge = 5
	if err := j.setOne(u, c, now.Add(-6*time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := header(j.cookies(u)); got != "" {
		t.Errorf("after its time a cookie is sent: %q", got)
	}
}
