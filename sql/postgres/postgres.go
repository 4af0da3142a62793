// Package postgres opens PostgreSQL databases for package sql, with pgx. A program that imports
// it can use a URL of PostgreSQL in its configuration, see package config.
package postgres

import (
	"database/sql"
	"errors"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/mist-contrib/session/sql/internal/pool"
)

const connectTimeout = 5 * time.Second

var (
	errURL = errors.New("postgres: the URL is not of the form postgres://user:password@host:port/database?sslmode=verify-full; " +
		"a user's name and a password must be percent-encoded")
	errSetting = errors.New("postgres: a setting in the URL, in the environment (PGHOST and so on), or a file that one of them names is not valid")
)

// Open returns the database of a URL. It does not connect.
//
// The URL has the form of libpq:
// postgres://user:password@host:port/database?sslmode=verify-full. It can name several hosts:
// host1:port,host2:port. Connections then go to the host that accepts writes, unless
// target_session_attrs says otherwise. The environment (PGHOST, PGPASSWORD, PGSSLMODE and so
// on) sets what the URL leaves out.
//
// These settings are not part of libpq:
//
//   - pool_max_conns: the maximum number of connections. Unset: 16.
//   - pool_max_conn_lifetime: how long a connection is used. Unset: 30m.
//   - pool_max_conn_idle_time: how long an unused connection stays open. Unset: 4m.
//   - default_query_exec_mode: how pgx sends queries. Unset: each connection prepares a query
//     when it first uses it. PgBouncer before 1.21 in transaction mode needs "exec".
//
// Unset, connect_timeout is five seconds. No error contains a part of the URL.
func Open(rawURL string) (*sql.DB, error) {
	scheme, _, _ := strings.Cut(rawURL, "://")
	if scheme = strings.ToLower(scheme); scheme != "postgres" && scheme != "postgresql" || !pool.Clean(rawURL) {
		return nil, errURL
	}
	// Open parses the query itself, because url.Parse allows only one host.
	rest, rawQuery, _ := strings.Cut(rawURL[len(scheme):], "?")
	query, err := url.ParseQuery(strings.ReplaceAll(rawQuery, "+", "%2B")) // libpq does not decode '+'
	if err != nil {
		return nil, errURL
	}
	limits, err := pool.Take(query)
	if err != nil {
		return nil, errors.New("postgres: " + err.Error())
	}
	config, err := pgx.ParseConfig(scheme + rest + "?" + strings.ReplaceAll(query.Encode(), "+", "%20"))
	if err != nil {
		return nil, errSetting // the error of pgx contains the URL
	}
	if config.ConnectTimeout == unsetTimeout && !query.Has("connect_timeout") {
		config.ConnectTimeout = connectTimeout
	}
	if many(config) && !query.Has("target_session_attrs") && os.Getenv("PGTARGETSESSIONATTRS") == "" {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	db := stdlib.OpenDB(*config)
	limits.Apply(db)
	return db, nil
}

// many reports whether there are several hosts. A single host has fallbacks too, if sslmode
// allows them.
func many(config *pgx.ConnConfig) bool {
	for _, f := range config.Fallbacks {
		if f.Host != config.Host || f.Port != config.Port {
			return true
		}
	}
	return false
}

// unsetTimeout is the timeout that pgx sets without connect_timeout.
const unsetTimeout = 2 * time.Minute
