package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// The same site comes out of each file.
func TestSite(t *testing.T) {
	for _, path := range []string{"session.json", "session.yaml", "session.toml"} {
		t.Run(path, func(t *testing.T) {
			site, closer, err := newSite(path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := closer.Close(); err != nil {
					t.Error(err)
				}
			}()
			var cookie *http.Cookie
			for _, want := range []string{"visit 1\n", "visit 2\n"} {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
				if cookie != nil {
					r.AddCookie(cookie)
				}
				w := httptest.NewRecorder()
				site.ServeHTTP(w, r)
				if w.Code != http.StatusOK || w.Body.String() != want {
					t.Fatalf("got %d %q, want 200 %q", w.Code, w.Body, want)
				}
				for _, set := range w.Result().Cookies() {
					cookie = set
				}
			}
			if cookie.Name != "session" || cookie.Secure || cookie.MaxAge != 720*3600 || cookie.SameSite != http.SameSiteStrictMode {
				t.Errorf("got %v, want the cookie that the file describes", cookie)
			}
		})
	}
	if _, _, err := newSite("absent.json"); err == nil {
		t.Error("got no error for a file that is not there")
	}
}
