package cookie_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
)

const ours = name + "=" + id

// What Extract is to say of a request.
const (
	none      = "no cookie of ours"
	malformed = "malformed"
	twice     = "two of ours"
)

// requests are Cookie lines and what Extract makes of them: one of the words
// above, or the value.
func requests() []struct {
	name  string
	lines []string
	want  string
} {
	many := strings.TrimSuffix(strings.Repeat("a=b; ", 3001), "; ")
	return []struct {
		name  string
		lines []string
		want  string
	}{
		{"no header", nil, none},
		{"empty header", []string{""}, none},
		{"only separators", []string{";;; ;", ";"}, none},
		{"ours", []string{ours}, id},
		{"ours first", []string{ours + "; a=b"}, id},
		{"ours last", []string{"a=b; " + ours}, id},
		{"ours in the middle", []string{"a=b; " + ours + "; c=d"}, id},
		{"ours in the second line", []string{"a=b", ours}, id},
		{"ours between empty ones", []string{"; ;" + ours + ";;"}, id},
		{"no space between", []string{"a=b;" + ours + ";c=d"}, id},
		{"spaces and tabs around", []string{"a=b; \t" + ours + " \t; c=d"}, id},
		{"space before the equals sign", []string{name + " =" + id}, id},
		{"equals sign in the value", []string{name + "=a=b="}, "a=b="},
		{"others malformed", []string{`a="b; ` + ours + "; \x00=; é=é; c"}, id},
		{"one byte", []string{name + "=x"}, "x"},
		{"as large as a cookie can be", []string{name + "=" + strings.Repeat("x", 4096-len(name))}, strings.Repeat("x", 4096-len(name))},

		// T-M3, R19.
		{"twice in a line", []string{ours + "; " + ours}, twice},
		{"twice in two lines", []string{ours, ours}, twice},
		{"twice, far apart", []string{ours + "; a=b", "c=d", "e=f; " + ours}, twice},
		{"three times", []string{ours + "; " + ours + "; " + ours}, twice},
		{"bad then good", []string{name + "=bad; " + ours}, twice},
		{"good then bad", []string{ours + "; " + name + "=bad"}, twice},
		{"malformed then good", []string{name + "=\x01; " + ours}, twice},
		{"good then malformed", []string{ours + "; " + name + "=\x01"}, twice},
		{"quoted then good", []string{name + `="x"`, ours}, twice},
		{"empty then good", []string{name + "=", ours}, twice},
		{"good then empty", []string{ours + "; " + name + "="}, twice},
		{"without a value then good", []string{name + "; " + ours}, twice},
		{"twice empty", []string{name + "=; " + name + "="}, twice},

		// T-M4, R20.
		{"name in other case", []string{strings.ToLower(name) + "=" + id}, none},
		{"name in capitals", []string{strings.ToUpper(name) + "=" + id}, none},
		{"other case beside ours", []string{strings.ToLower(name) + "=bad; " + ours}, id},
		{"longer name", []string{name + "2=" + id}, none},
		{"shorter name", []string{name[1:] + "=" + id}, none},
		{"prefixed name", []string{"x" + name + "=" + id}, none},
		{"U+2000 before", []string{"\u2000" + ours}, none},
		{"U+00A0 before", []string{"\u00a0" + ours}, none},
		{"U+2000 beside ours", []string{"\u2000" + name + "=bad; " + ours}, id},
		{"NUL before", []string{"\x00" + ours}, none},
		{"LF before", []string{"\n" + ours}, none},
		{"quoted name", []string{`"` + name + `"=` + id}, none},
		{"nameless", []string{"=" + ours}, none},
		{"nameless beside ours", []string{"=" + name + "=bad; " + ours}, id},
		{"name as a value", []string{"a=" + ours}, none},
		{"in a comma list", []string{"a=b, " + ours}, none},
		{"colon instead", []string{name + ":" + id}, none},
		{"$Version", []string{"$Version=1; " + ours + "; $Path=/"}, id},
		{"$Version alone", []string{"$Version=1"}, none},
		{"name after a dollar", []string{"$" + ours}, none},

		// T-M5.
		{"quoted", []string{name + `="` + id + `"`}, malformed},
		{"half quoted", []string{name + `="` + id}, malformed},
		{"quote at the end", []string{ours + `"`}, malformed},
		{"cookie sandwich", []string{"$Version=1; " + name + `="x; other=secret; end=y"`}, malformed},

		{"empty value", []string{name + "="}, malformed},
		{"blank value", []string{name + "=  \t"}, malformed},
		{"no equals sign", []string{name}, malformed},
		{"space inside", []string{name + "=a b"}, malformed},
		{"space before", []string{name + "= " + id}, malformed},
		{"tab before", []string{name + "=\t" + id}, malformed},
		{"comma inside", []string{name + "=a,b"}, malformed},
		{"backslash inside", []string{name + `=a\b`}, malformed},
		{"control character", []string{name + "=a\x01b"}, malformed},
		{"NUL", []string{name + "=a\x00"}, malformed},
		{"CR LF", []string{name + "=a\r\n"}, malformed},
		{"DEL", []string{name + "=a\x7f"}, malformed},
		{"é", []string{name + "=é"}, malformed},
		{"invalid UTF-8", []string{name + "=\xff"}, malformed},
		{"full-width digits", []string{name + "=１２"}, malformed},
		{"a byte too large", []string{name + "=" + strings.Repeat("x", 4097-len(name))}, malformed},

		// T-M2, T-M6.
		{"a megabyte", []string{name + "=" + strings.Repeat("x", 1<<20)}, malformed},
		{"a megabyte of others", []string{strings.Repeat("a=b; ", 200_000) + ours}, id},
		{"a megabyte of separators", []string{strings.Repeat(";", 1<<20)}, none},
		{"a megabyte of equals signs", []string{strings.Repeat("=", 1<<20)}, none},
		{"a megabyte of our name", []string{strings.Repeat(ours+"; ", 15_000)}, twice},
		{"a megabyte of name", []string{strings.Repeat("n", 1<<20) + "=x; " + ours}, id},
		{"3001 others", []string{many}, none},
		{"3001 others, then ours", []string{many + "; " + ours}, id},
		{"ours, then 3001 others", []string{ours, many}, id},
		{"3001 lines", slices.Repeat([]string{"a=b"}, 3001), none},
	}
}

// judge says what Extract made of a request, and whether its errors are the
// right ones.
func judge(value string, err error) (string, error) {
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case err == nil && value != "":
		return value, nil
	case err == nil || value != "":
		return "", fmt.Errorf("got %q and %w", value, err)
	case !is(session.ErrNotFound):
		return "", fmt.Errorf("%w does not match ErrNotFound", err)
	case is(session.ErrInvalidID) || is(session.ErrMultiple) && is(http.ErrNoCookie):
		return "", fmt.Errorf("%w matches too much", err)
	case is(session.ErrMultiple):
		return twice, nil
	case is(http.ErrNoCookie):
		return none, nil
	}
	return malformed, nil
}

func TestExtract(t *testing.T) {
	p := &cookie.Propagator{}
	for _, tt := range requests() {
		t.Run(tt.name, func(t *testing.T) {
			req := &http.Request{Header: http.Header{"Cookie": tt.lines}}
			got, err := judge(p.Extract(req))
			if err != nil || got != tt.want {
				t.Errorf("got %.80q, %v, want %.80q", got, err, tt.want)
			}
			if n := testing.AllocsPerRun(1, func() { _, _ = p.Extract(req) }); n != 0 {
				t.Errorf("got %v allocations, want 0", n)
			}
		})
	}
}

// TestExtractElsewhere is R21: nothing but the cookie is looked at.
func TestExtractElsewhere(t *testing.T) {
	req := httptest.NewRequest(http.MethodPost, "/"+id+"?"+ours+"&session="+id, strings.NewReader(ours))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, h := range []string{name, "Authorization", "X-Session", "Set-Cookie", "Cookie2", "Referer"} {
		req.Header.Set(h, ours)
	}
	req.Header["cookie"] = []string{ours} // no server makes such a header
	req.SetPathValue("session", id)
	req.SetBasicAuth(name, id)
	if got, err := judge((&cookie.Propagator{}).Extract(req)); got != none || err != nil {
		t.Errorf("got %q, %v, want none", got, err)
	}
	if got, err := judge((&cookie.Propagator{}).Extract(&http.Request{})); got != none || err != nil {
		t.Errorf("request without a header: got %q, %v, want none", got, err)
	}
}

// TestExtractOfTheDefaultNames keeps development and production apart.
func TestExtractOfTheDefaultNames(t *testing.T) {
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("Cookie", "session=insecure; "+name+"=secure; sid=own")
	for want, p := range map[string]*cookie.Propagator{"secure": {}, "insecure": {Insecure: true}, "own": {Name: "sid"}} {
		if got, err := p.Extract(req); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

// FuzzExtract compares Extract with the parser of net/http: where that sees one
// cookie of our name, unquoted and of a good value, so do we, unless another of
// the name is in the header that net/http passes over.
func FuzzExtract(f *testing.F) {
	for _, tt := range requests() {
		if header := strings.Join(tt.lines, "; "); len(header) < 20_000 {
			f.Add(header)
		}
	}
	p := &cookie.Propagator{}
	f.Fuzz(func(t *testing.T, header string) {
		req := &http.Request{Header: http.Header{"Cookie": {header}}}
		value, err := p.Extract(req)
		got, judged := judge(value, err)
		if judged != nil {
			t.Fatalf("%q: %v", header, judged)
		}
		if value != "" && (!strings.Contains(header, value) || len(name)+len(value) > 4096) {
			t.Fatalf("%q: got %q", header, value)
		}
		for i := range len(value) {
			if !octet(value[i]) {
				t.Fatalf("%q: got %q", header, value)
			}
		}
		if strings.ContainsAny(header, "\r\n") {
			return // no server lets them through, and net/http cuts them off here
		}
		theirs := req.CookiesNamed(name)
		switch {
		case len(theirs) == 0 && value != "" && strings.Count(header, ";") < 3000:
			t.Fatalf("%q: got %q, net/http none", header, value)
		case len(theirs) > 1 && got != twice:
			t.Fatalf("%q: got %q, net/http %v", header, got, theirs)
		case len(theirs) == 1 && got == none:
			t.Fatalf("%q: got none, net/http %v", header, theirs)
		case len(theirs) == 1 && value != "" && theirs[0].Value != value:
			t.Fatalf("%q: got %q, net/http %v", header, value, theirs)
		case len(theirs) == 1 && got == malformed && !theirs[0].Quoted && valid(theirs[0].Value):
			t.Fatalf("%q: got malformed, net/http %v", header, theirs)
		case len(theirs) == 1 && got == twice && strings.Count(header, name) < 2:
			t.Fatalf("%q: got two, net/http %v", header, theirs)
		}
	})
}

func valid(value string) bool {
	for i := range len(value) {
		if !octet(value[i]) {
			return false
		}
	}
	return value != "" && len(name)+len(value) <= 4096
}
