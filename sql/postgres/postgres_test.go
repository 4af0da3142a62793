package postgres_test

import (
	"strings"
	"testing"

	"github.com/mist-contrib/session/sql/postgres"
)

func TestOpen(t *testing.T) {
	for url, conns := range map[string]int{
		"postgres://ada:pass%40word@host:5433/app?sslmode=verify-full":                                       16,
		"postgresql://ada@host/app":                                                                          16,
		"PostgreSQL://host/app?pool_max_conns=3":                                                             3,
		"postgres://h1:1,h2:2/app?target_session_attrs=any":                                                  16,
		"postgres:///app?host=/run/postgresql":                                                               16,
		"postgres://h/app?pool_max_conn_lifetime=1h&pool_max_conn_idle_time=1m&default_query_exec_mode=exec": 16,
	} {
		db, err := postgres.Open(url)
		if err != nil {
			t.Errorf("%q: %v", url, err)
			continue
		}
		if got := db.Stats().MaxOpenConnections; got != conns {
			t.Errorf("%q: got %d connections at most, want %d", url, got, conns)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenMistakes(t *testing.T) {
	for url, word := range map[string]string{
		"":                                              "form",
		"secret":                                        "form",
		"postgres:secret":                               "form",
		"host=secret password=secret":                   "form",
		"mysql://ada:secret@host/app":                   "form",
		"postgres://ada:sec/ret@host/app":               "percent-encoded",
		"postgres://ada:1?secret@host/app":              "percent-encoded",
		"postgres://ada:1#secret@host/app":              "percent-encoded",
		"postgres://ada:secret@host/app#x":              "form",
		"postgres://host/app?a=%zzsecret":               "form",
		"postgres://ada:secret%zz@host/app":             "not valid",
		"postgres://ada:secret@host:x/app":              "not valid",
		"postgres://ada:secret@host/app?sslmode=secret": "not valid",
		"postgres://ada:secret@host/app?default_query_exec_mode=secret": "not valid",
		"postgres://ada:secret@host/app?sslmode=require&sslcert=secret": "not valid",
		"postgres://ada:secret@host/app?pool_max_conns=secret":          "pool_max_conns",
		"postgres://ada:secret@host/app?pool_max_conns=0":               "pool_max_conns",
		"postgres://ada:secret@host/app?pool_max_conn_lifetime=secret":  "pool_max_conn_lifetime",
		"postgres://ada:secret@host/app?pool_max_conn_idle_time=-1s":    "pool_max_conn_idle_time",
	} {
		db, err := postgres.Open(url)
		switch {
		case err == nil:
			t.Errorf("%q: got no error, and %v", url, db.Close())
		case !strings.Contains(err.Error(), word):
			t.Errorf("%q: got %q, which does not say %q", url, err, word)
		case strings.Contains(err.Error(), "secret"), strings.Contains(err.Error(), "ada"), strings.Contains(err.Error(), "app"):
			t.Errorf("%q: the error %q repeats it", url, err)
		}
	}
}
