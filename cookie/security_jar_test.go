package cookie_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session/cookie"
)

// A jar keeps cookies as browsers do: by the rules of rfc6265bis 5.7 and CHIPS,
// of which net/http/cookiejar knows neither the prefixes nor partitions.
type jar map[jarKey]string

type jarKey struct{ name, domain, path, partition string }

// take gives the jar the Set-Cookie lines of a response of host, in a page of the
// site top; it reports whether it took all of them.
func (j jar) take(t *testing.T, h http.Header, host, top string, https bool) (all bool) {
	t.Helper()
	all = true
	for _, line := range h["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.ToLower(c.Name)
		domain := strings.TrimPrefix(c.Domain, ".")
		onlyHost := c.Secure && domain == "" && c.Path == "/"
		switch {
		case c.Secure && !https,
			strings.HasPrefix(name, "__secure-") && !c.Secure,
			strings.HasPrefix(name, "__http-") && (!c.Secure || !c.HttpOnly),
			strings.HasPrefix(name, "__host-") && !onlyHost,
			strings.HasPrefix(name, "__host-http-") && !c.HttpOnly,
			c.SameSite == http.SameSiteNoneMode && !c.Secure,
			c.Partitioned && !c.Secure,
			domain != "" && domain != host && !strings.HasSuffix(host, "."+domain),
			len(c.Name)+len(c.Value) > 4096:
			all = false
			continue
		}
		key := jarKey{c.Name, domain, c.Path, ""}
		if domain == "" {
			key.domain = "host-only " + host
		}
		if c.Partitioned {
			key.partition = top
		}
		if c.MaxAge < 0 {
			delete(j, key)
		} else {
			j[key] = c.Value
		}
	}
	return all
}

// request returns one to host, from a page of the site top.
func (j jar) request(host, path, top string) *http.Request {
	req := httptest.NewRequest(http.MethodGet, "https://"+host+path, nil)
	for key, value := range j {
		ours := key.domain == "host-only "+host || key.domain == host || strings.HasSuffix(host, "."+key.domain)
		if ours && strings.HasPrefix(path, key.path) && (key.partition == "" || key.partition == top) {
			req.AddCookie(&http.Cookie{Name: key.name, Value: value})
		}
	}
	return req
}

// R18, T-P7: a browser takes the cookie, sends it back, and has none left after
// the one that deletes, whatever the fields say.
func TestJar(t *testing.T) {
	for name, p := range map[string]*cookie.Propagator{
		"defaults":    {},
		"insecure":    {Insecure: true},
		"plain name":  {Name: "sid"},
		"__Host-":     {Name: "__Host-sid", SameSite: http.SameSiteStrictMode},
		"__HOST-":     {Name: "__HOST-sid"},
		"__Secure-":   {Name: "__Secure-sid", Domain: "example.com", Path: "/app"},
		"__Http-":     {Name: "__Http-sid", Path: "/app", MaxAge: time.Hour},
		"partitioned": {SameSite: http.SameSiteNoneMode, Partitioned: true},
	} {
		t.Run(name, func(t *testing.T) {
			j := jar{}
			const host, top = "www.example.com", "shop.test"
			for range 2 {
				w := httptest.NewRecorder()
				if err := p.InjectFor(id, day, w); err != nil {
					t.Fatal(err)
				}
				if !j.take(t, w.Header(), host, top, !p.Insecure) || len(j) != 1 {
					t.Fatalf("the browser has %d cookies, want 1", len(j))
				}
			}
			if got, err := p.Extract(j.request(host, "/app/page", top)); got != id || err != nil {
				t.Errorf("it sends back another one: %v", err)
			}
			w := httptest.NewRecorder()
			if err := p.Remove(w); err != nil {
				t.Fatal(err)
			}
			if !j.take(t, w.Header(), host, top, !p.Insecure) || len(j) != 0 {
				t.Errorf("after Remove the browser has %d cookies, want none", len(j))
			}
		})
	}
}

// R24: a partitioned cookie is another one for each site that embeds the page,
// and none of them is that of the page by itself.
func TestJarPartitioned(t *testing.T) {
	const host = "pay.example"
	p := &cookie.Propagator{SameSite: http.SameSiteNoneMode, Partitioned: true}
	j, tops := jar{}, []string{"shop.test", "news.test", host}
	for _, top := range tops {
		w := httptest.NewRecorder()
		if err := p.Inject("of."+top, w); err != nil {
			t.Fatal(err)
		}
		if !j.take(t, w.Header(), host, top, true) {
			t.Fatal("the browser does not take it")
		}
	}
	w := httptest.NewRecorder()
	if err := p.Remove(w); err != nil {
		t.Fatal(err)
	}
	j.take(t, w.Header(), host, tops[0], true)
	for i, top := range tops {
		want := "of." + top
		if i == 0 {
			want = ""
		}
		if got, _ := p.Extract(j.request(host, "/", top)); got != want {
			t.Errorf("embedded by %s: got %q, want %q", top, got, want)
		}
	}
}
