package main

import (
	"path/filepath"
	"testing"

	"github.com/mist-contrib/session/internal/sqltest"
)

// TestFile: with nothing but a file, a process that is killed logs nobody out.
func TestFile(t *testing.T) {
	t.Parallel()
	bin, store := build(t), "sqlite:"+filepath.Join(t.TempDir(), "sessions.db")
	p := start(t, bin, "127.0.0.1:0", "-store", store)
	v := visit(t, p.site())
	id := v.login("ada", "engine").element("session")
	v.post("/cart", "article", "Bread")
	for range 3 {
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-p.ended
		p = start(t, bin, "127.0.0.1:0", "-store", store)
		v.site = p.site()
		if home := v.get("/"); home.element("user") != "ada" || home.element("session") != id || home.cart() != "Bread × 1" {
			t.Fatalf("after a restart: got user %q, same session %t, cart %q", home.element("user"), home.element("session") == id, home.cart())
		}
	}
	token := v.cookie()
	v.post("/logout")
	p.terminate(t)
	v.site = start(t, bin, "127.0.0.1:0", "-store", store).site()
	wantStranger(t, v.thief(token).get("/"))
}

// TestDatabase runs two processes behind one database.
func TestDatabase(t *testing.T) {
	t.Parallel()
	bin := build(t)
	for name, server := range map[string]*sqltest.Server{"PostgreSQL": sqltest.StartPostgres(t), "MariaDB": sqltest.StartMariaDB(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			twoProcesses(t, bin, server.Database(t))
			signOutElsewhere(t, bin, server.Database(t))
		})
	}
}
