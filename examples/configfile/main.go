// Configfile serves a page that counts visits. A file says where the sessions live and for
// how long:
//
//	$ go run -C examples/configfile . session.yaml
//	$ curl -c jar -b jar localhost:8080
//	visit 1
//	$ curl -c jar -b jar localhost:8080
//	visit 2
//
// The file is JSON, YAML or TOML; docs/configuration.md has a table of its fields.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/dormoron/mist"
	"gopkg.in/yaml.v3"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/config"
	_ "github.com/mist-contrib/session/redis" // a file may name a store redis://host
)

var visits = session.NewKey[int]("visits")

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: configfile session.yaml")
	}
	site, closer, err := newSite(os.Args[1])
	if err != nil {
		log.Fatal(err) // the error contains no secret
	}
	server := &http.Server{Addr: "localhost:8080", Handler: site, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(errors.Join(server.ListenAndServe(), closer.Close()))
}

// newSite makes the site that a file configures. The caller closes closer at the end.
func newSite(path string) (site http.Handler, closer io.Closer, err error) {
	c, err := config.FromFile(path, decoder(path))
	if err != nil {
		return nil, nil, err
	}
	m, closer, err := c.Manager()
	if err != nil {
		return nil, nil, err
	}
	server := mist.InitHTTPServer()
	server.Use(m.Middleware())
	server.GET("/", func(ctx *mist.Context) { count(ctx, m) })
	return server, closer, nil
}

// decoder returns the decoder for a file of that name, nil for JSON.
func decoder(path string) func(data []byte, into any) error {
	switch filepath.Ext(path) {
	case ".yaml", ".yml":
		return yaml.Unmarshal
	case ".toml":
		return toml.Unmarshal
	}
	return nil
}

func count(ctx *mist.Context, m *session.Manager) {
	var n int
	s, err := m.GetSession(ctx)
	if errors.Is(err, session.ErrNotFound) {
		s, err = m.InitSession(ctx)
	}
	if err == nil {
		err = visits.Update(ctx.Request.Context(), s, func(old int) (int, error) {
			n = old + 1
			return n, nil
		})
	}
	if err != nil {
		log.Print(err)
		ctx.RespStatusCode, ctx.RespData = http.StatusServiceUnavailable, []byte("try again later\n")
		return
	}
	ctx.RespData = fmt.Appendf(nil, "visit %d\n", n)
}
