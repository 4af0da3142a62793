package cookie_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/mist-contrib/session/cookie"
)

func ExamplePropagator() {
	strict := &cookie.Propagator{}                                                        // the default
	shared := &cookie.Propagator{Name: "__Secure-sid", Domain: "example.com"}             // for all subdomains
	stays := &cookie.Propagator{SameSite: http.SameSiteStrictMode, MaxAge: 8 * time.Hour} // outlives the browser
	plain := &cookie.Propagator{Insecure: true}                                           // development without TLS

	for _, p := range []*cookie.Propagator{strict, shared, stays, plain} {
		w := httptest.NewRecorder()
		if err := p.Inject("id.SECRET", w); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(w.Header().Get("Set-Cookie"))
	}

	wrong := &cookie.Propagator{Domain: "example.com"}
	fmt.Println(wrong.Check())
	// Output:
	// __Host-Http-session=id.SECRET; Path=/; HttpOnly; Secure; SameSite=Lax
	// __Secure-sid=id.SECRET; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Lax
	// __Host-Http-session=id.SECRET; Path=/; Max-Age=28800; HttpOnly; Secure; SameSite=Strict
	// session=id.SECRET; Path=/; HttpOnly; SameSite=Lax
	// cookie: the prefix __Host- of Name forbids Domain
}
