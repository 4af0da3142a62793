package sessionaudit

import (
	"errors"
	"net/http"
	"slices"
	"testing"
)

// TestFollow: where a browser goes by itself.
func TestFollow(t *testing.T) {
	t.Parallel()
	e := &env{tb: t, app: App{Host: "a.test"}}
	err := e.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/out":
			http.Redirect(w, r, "https://b.test/end", http.StatusFound)
		case "/on":
			http.Redirect(w, r, "https://a.test/middle", http.StatusSeeOther)
		case "/middle":
			http.Redirect(w, r, "end", http.StatusMovedPermanently)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/nowhere":
			http.Redirect(w, r, "/panic", http.StatusFound)
		case "/panic":
			panic(http.ErrAbortHandler)
		case "/strange":
			w.Header().Set("Location", "https://a.test:x/")
			w.WriteHeader(http.StatusFound)
		default:
			w.Header().Set("Location", "/round") // for 201 and the like
			_, _ = w.Write([]byte(r.Method))
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]int{
		"/end":     {200},
		"/out":     {302},
		"/on":      {303, 301, 200},
		"/round":   slices.Repeat([]int{302}, 11),
		"/strange": {302},
	} {
		answers, err := e.browser().follow(Form(path))
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		var got []int
		for i, a := range answers {
			got = append(got, a.status)
			if to := "POST " + path; i == 0 && a.to != to || i > 0 && a.to != "the page behind "+to {
				t.Errorf("%s: answer %d is called %q", path, i, a.to)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
		if last := answers[len(answers)-1]; path == "/on" && last.body != http.MethodGet {
			t.Errorf("%s: the last request is a %s, want GET", path, last.body)
		}
	}
	if _, err := e.browser().follow(Form("/nowhere")); !errors.Is(err, errNoAnswer) {
		t.Errorf("/nowhere: got %v, want %v", err, errNoAnswer)
	}
}
