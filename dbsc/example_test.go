package dbsc_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/dbsc"
	"github.com/mist-contrib/session/memory"
)

// A login asks the browser to register its device.
func Example() {
	manager := &session.Manager{
		Store:       &memory.Store{},
		Propagator:  &cookie.Propagator{Name: "__Host-session"},
		DeviceBound: 10 * time.Minute,
	}
	server := mist.InitHTTPServer()
	(&dbsc.Handler{Manager: manager, Exclude: []string{"/static", "/favicon.ico"}}).Mount(server)
	server.POST("/login", func(ctx *mist.Context) {
		if _, err := manager.Login(ctx, "alice"); err != nil { // whose password was right
			ctx.RespStatusCode = http.StatusServiceUnavailable
		}
	})

	answer := httptest.NewRecorder()
	server.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/login", nil))
	asked, _, _ := strings.Cut(answer.Header().Get("Secure-Session-Registration"), ";challenge")
	fmt.Println(asked)
	// Output: (ES256 RS256);path="/dbsc/register"
}
