package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessiontest"
)

// post sends a request, changed by edit, through RequireCSRF. It returns the status,
// and whether the handler ran.
func post(t *testing.T, b *webtest.Browser, m *session.Manager, cross *http.CrossOriginProtection, edit func(r *http.Request), next mist.HandleFunc) (status int, ran bool) {
	t.Helper()
	resp := b.Answer(t.Context(), func(ctx *mist.Context) {
		ctx.Request.Method = http.MethodPost
		edit(ctx.Request)
		m.RequireCSRF(cross)(func(ctx *mist.Context) {
			ran = true
			if next != nil {
				next(ctx)
			}
		})(ctx)
	})
	return resp.StatusCode, ran
}

// T-C4, R42: every header by which browsers tell the origin of a request, every method,
// with and without a session, and every token. The test computes the expected answer by
// itself.
func TestRequireCSRFMatrix(t *testing.T) {
	const own = "https://example.com" // what httptest asks
	var (
		methods = []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "PROPFIND"}
		sites   = []string{"", "same-origin", "none", "same-site", "cross-site", "nonsense"}
		origins = []string{"", own, "http://example.com", "https://sibling.example.com", "https://partner.test", "https://evil.test", "null", "://"}
		carried = []string{"", "header", "field", "query", "foreign"}
	)
	m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
	alice, bob, nobody := &webtest.Browser{}, &webtest.Browser{}, &webtest.Browser{}
	tokens := make(map[*webtest.Browser]string)
	for _, b := range []*webtest.Browser{alice, bob} {
		b.BeginNamed(t, m, "name")
		b.Visit(t, func(ctx *mist.Context) { tokens[b] = csrfToken(t, webtest.Loaded(t, m, ctx)) })
	}
	trusting := http.NewCrossOriginProtection()
	if err := trusting.AddTrustedOrigin("https://partner.test"); err != nil {
		t.Fatal(err)
	}
	through := make(map[bool]int)
	for cross, trusted := range map[*http.CrossOriginProtection]string{nil: "https://example.com", trusting: "https://partner.test"} {
		for _, who := range []*webtest.Browser{alice, nobody} {
			for _, method := range methods {
				for _, site := range sites {
					for _, origin := range origins {
						for _, token := range carried {
							safe := method == "GET" || method == "HEAD" || method == "OPTIONS"
							ours := site == "same-origin" || site == "none" || origin == trusted && cross == trusting ||
								site == "" && (origin == "" || origin == own || origin == "http://example.com")
							brought := token == "header" || token == "field" && (method == "POST" || method == "PUT" || method == "PATCH")
							want := safe || ours && (who == nobody || brought)
							status, ran := post(t, who, m, cross, func(r *http.Request) {
								r.Method = method
								r.Header.Set("Sec-Fetch-Site", site)
								r.Header.Set("Origin", origin)
								query := session.CSRFField + "=" + tokens[alice]
								switch token {
								case "header":
									r.Header.Set(session.CSRFHeader, tokens[alice])
								case "field":
									webtest.SetForm(r, webtest.FormType, query)
								case "query":
									r.URL.RawQuery = query
								case "foreign":
									r.Header.Set(session.CSRFHeader, tokens[bob])
								}
							}, nil)
							through[ran]++
							if ran != want || ran != (status == http.StatusOK) || !ran && status != http.StatusForbidden {
								t.Errorf("%s, site %q, origin %q, token %q, session %t, trusted %q: got through %t, status %d, want %t",
									method, site, origin, token, who == alice, trusted, ran, status, want)
							}
						}
					}
				}
			}
		}
	}
	t.Logf("%d let through, %d refused", through[true], through[false])
}

// RequireCSRF reads the field from every kind of form, and the handler still gets the
// whole form. It does not read a body that is no form.
func TestRequireCSRFBodies(t *testing.T) {
	m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
	b := &webtest.Browser{}
	var token string
	b.BeginNamed(t, m, "alice")
	b.Visit(t, func(ctx *mist.Context) { token = csrfToken(t, webtest.Loaded(t, m, ctx)) })

	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	_ = w.WriteField(session.CSRFField, token)
	_ = w.WriteField("amount", "7")
	_ = w.Close()
	form := url.Values{session.CSRFField: {token}, "amount": {"7"}}.Encode()
	for kind, edit := range map[string]func(r *http.Request){
		"urlencoded": func(r *http.Request) { webtest.SetForm(r, webtest.FormType, form) },
		"multipart":  func(r *http.Request) { webtest.SetForm(r, w.FormDataContentType(), body.String()) },
	} {
		_, ran := post(t, b, m, nil, edit, func(ctx *mist.Context) {
			if got := ctx.Request.PostFormValue("amount"); got != "7" {
				t.Errorf("%s: the handler got %q of the form", kind, got)
			}
		})
		if !ran {
			t.Errorf("%s: refused", kind)
		}
	}
	_, ran := post(t, b, m, nil, func(r *http.Request) {
		webtest.SetForm(r, "application/json", `{"amount":7}`)
		r.Header.Set(session.CSRFHeader, token)
	}, func(ctx *mist.Context) {
		if got, err := io.ReadAll(ctx.Request.Body); string(got) != `{"amount":7}` || err != nil {
			t.Errorf("json: the handler got %q, %v", got, err)
		}
	})
	if !ran {
		t.Error("json: refused")
	}
	for kind, edit := range map[string]func(r *http.Request){
		"no form": func(r *http.Request) { webtest.SetForm(r, "application/json", form) },
		"broken":  func(r *http.Request) { webtest.SetForm(r, "multipart/form-data", body.String()) },
		"cut":     func(r *http.Request) { webtest.SetForm(r, w.FormDataContentType(), body.String()[:40]) },
		"no body": func(r *http.Request) { r.Header.Set("Content-Type", webtest.FormType); r.Body = nil },
		"header first": func(r *http.Request) {
			webtest.SetForm(r, webtest.FormType, form)
			r.Header.Set(session.CSRFHeader, "x")
		},
		"in a cookie": func(r *http.Request) { r.AddCookie(&http.Cookie{Name: session.CSRFField, Value: token}) },
	} {
		if status, ran := post(t, b, m, nil, edit, nil); ran || status != http.StatusForbidden {
			t.Errorf("%s: got through %t, status %d", kind, ran, status)
		}
	}
}

// ErrorHandler and OnEvent get the session and the reason, and nothing else. A request
// that passes causes no event.
func TestRequireCSRFTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
		var events []session.Event
		m.OnEvent = func(_ context.Context, e session.Event) { events = append(events, e) }
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		var id, token string
		b.Visit(t, func(ctx *mist.Context) {
			s := webtest.Loaded(t, m, ctx)
			id, token = s.ID(), csrfToken(t, s)
		})
		var told []error
		m.ErrorHandler = func(ctx *mist.Context, err error) {
			told = append(told, err)
			ctx.ResponseWriter.WriteHeader(http.StatusTeapot)
		}
		for _, c := range []struct {
			name    string
			who     *webtest.Browser
			headers []string
			want    string // the id in the event; "-": there is none
		}{
			{"a good one", b, []string{session.CSRFHeader, token}, "-"},
			{"no token", b, nil, id},
			{"another site", b, []string{session.CSRFHeader, token, "Sec-Fetch-Site", "cross-site"}, id},
			{"another site, for nobody", &webtest.Browser{}, []string{"Sec-Fetch-Site", "cross-site"}, ""},
			{"nobody", &webtest.Browser{}, nil, "-"},
		} {
			events, told = nil, nil
			status, ran := post(t, c.who, m, nil, func(r *http.Request) {
				for i := 0; i < len(c.headers); i += 2 {
					r.Header.Set(c.headers[i], c.headers[i+1])
				}
			}, nil)
			if c.want == "-" {
				if !ran || len(events) != 0 || len(told) != 0 {
					t.Errorf("%s: got through %t, events %v, errors %v", c.name, ran, events, told)
				}
				continue
			}
			if ran || status != http.StatusTeapot || len(told) != 1 || !errors.Is(told[0], session.ErrForged) || errors.Is(told[0], session.ErrNotFound) {
				t.Errorf("%s: got through %t, status %d, errors %v", c.name, ran, status, told)
			}
			if len(events) != 1 || events[0].Kind != session.EventForged || events[0].Session != c.want || !errors.Is(events[0].Cause, session.ErrForged) {
				t.Errorf("%s: got events %v", c.name, events)
			}
		}
	})
}

// While the store is down, RequireCSRF lets no request pass and reports no forgery.
// Safe methods do not ask the store.
func TestRequireCSRFStoreDown(t *testing.T) {
	faults := &sessiontest.FaultStore{Store: &memory.Store{}}
	m := &session.Manager{Store: faults, Propagator: &cookie.Propagator{}}
	b := &webtest.Browser{}
	b.BeginNamed(t, m, "alice")
	faults.Reset(func(sessiontest.Call) sessiontest.Fault { return sessiontest.FailBefore })
	if status, ran := post(t, b, m, nil, func(*http.Request) {}, nil); ran || status != http.StatusServiceUnavailable {
		t.Errorf("got through %t, status %d, want 503", ran, status)
	}
	if got := fmt.Sprint(faults.Calls()); got != "[{Open 1}]" {
		t.Errorf("got calls %s", got)
	}
	faults.Reset(faults.Plan)
	if _, ran := post(t, b, m, nil, func(r *http.Request) { r.Method = http.MethodGet }, nil); !ran || len(faults.Calls()) != 0 {
		t.Errorf("GET: got through %t, calls %v", ran, faults.Calls())
	}
}

// An unusable Manager lets no request pass, not even a GET.
func TestRequireCSRFUnusable(t *testing.T) {
	for name, m := range map[string]*session.Manager{"nil": nil, "zero": {}} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			status, ran := post(t, &webtest.Browser{}, m, nil, func(r *http.Request) { r.Method = method }, nil)
			if ran || status != http.StatusServiceUnavailable {
				t.Errorf("%s, %s: got through %t, status %d", name, method, ran, status)
			}
		}
	}
}
