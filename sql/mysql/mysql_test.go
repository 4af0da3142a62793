package mysql_test

import (
	"strings"
	"testing"

	"github.com/mist-contrib/session/sql/mysql"
)

func TestOpen(t *testing.T) {
	for url, conns := range map[string]int{
		"mysql://ada:pass%40word@host:3307/app?tls=true":                     16,
		"mariadb://ada@host/app":                                             16,
		"MySQL://[::1]:3306/app?pool_max_conns=3":                            3,
		"mysql://ada@/app?socket=/run/mysqld/mysqld.sock":                    16,
		"mysql://h/app?tls=skip-verify&compress=true&readTimeout=10s":        16,
		"mysql://h/app?pool_max_conn_lifetime=1h&pool_max_conn_idle_time=1m": 16,
	} {
		db, err := mysql.Open(url)
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
		"":                                               "form",
		"secret":                                         "form",
		"mysql:secret":                                   "form",
		"ada:secret@tcp(host)/app":                       "form",
		"postgres://ada:secret@host/app":                 "form",
		"mysql://ada:sec/ret@host/app":                   "percent-encoded",
		"mysql://ada:1?secret@host/app":                  "percent-encoded",
		"mysql://ada:1#secret@host/app":                  "percent-encoded",
		"mysql://ada:secret%zz@host/app":                 "form",
		"mysql://ada:secret@host:x/app":                  "form",
		"mysql://ada:secret@host":                        "form",
		"mysql://ada:secret@host/":                       "form",
		"mysql://ada:secret@host/app/x":                  "form",
		"mysql://ada:secret@/app":                        "form",
		"mysql://host/app?socket=secret":                 "form",
		"mysql:///app?socket=":                           "form",
		"mysql:///app?socket=/secret)/x(y":               "form",
		"mysql://host/app?a=%zzsecret":                   "form",
		"mysql://host/app?tls=secret":                    "not valid",
		"mysql://host/app?timeout=secret":                "not valid",
		"mysql://host/app?parseTime=secret":              "parseTime",
		"mysql://host/app?clientFoundRows=true":          "clientFoundRows",
		"mysql://host/app?multiStatements=true":          "multiStatements",
		"mysql://host/app?interpolateParams=true":        "interpolateParams",
		"mysql://host/app?rejectReadOnly=false":          "rejectReadOnly",
		"mysql://host/app?sql_mode=secret":               "sql_mode",
		"mysql://host/app?pool_max_conns=secret":         "pool_max_conns",
		"mysql://host/app?pool_max_conns=10001":          "pool_max_conns",
		"mysql://host/app?pool_max_conn_lifetime=secret": "pool_max_conn_lifetime",
		"mysql://host/app?pool_max_conn_idle_time=0s":    "pool_max_conn_idle_time",
	} {
		db, err := mysql.Open(url)
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
