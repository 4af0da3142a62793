// Package pool holds the code that the driver packages share: the settings of connections in
// URLs, and the registration with package config.
package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Pool limits how many connections a program has to a server, and for how long.
type Pool struct {
	maxConns           int
	lifetime, idleTime time.Duration
}

const (
	// A call uses a connection for less than a millisecond, so 16 connections carry more calls
	// than one server can answer. Six processes fit into PostgreSQL's default limit of 100.
	defaultMaxConns = 16

	// After a failover or a change of DNS, all connections move to the new server within half an
	// hour, without an error.
	defaultLifetime = 30 * time.Minute

	// Firewalls drop a silent connection after five minutes or more.
	defaultIdleTime = 4 * time.Minute
)

var (
	errConn     = errors.New("sql: the driver's connection executes no statements")
	errMaxConns = errors.New("pool_max_conns is not 1 to 10000")
	errLifetime = errors.New("pool_max_conn_lifetime is not a duration, such as 30m")
	errIdleTime = errors.New("pool_max_conn_idle_time is not a duration, such as 4m")
)

// Take removes the settings of the pool from the query of a URL. Its errors contain no value.
func Take(query url.Values) (Pool, error) {
	p := Pool{maxConns: defaultMaxConns, lifetime: defaultLifetime, idleTime: defaultIdleTime}
	if query.Has("pool_max_conns") {
		n, err := strconv.Atoi(query.Get("pool_max_conns"))
		if err != nil || n < 1 || n > 10_000 {
			return p, errMaxConns
		}
		p.maxConns = n
	}
	var err error
	if p.lifetime, err = duration(query, "pool_max_conn_lifetime", p.lifetime); err != nil {
		return p, errLifetime
	}
	if p.idleTime, err = duration(query, "pool_max_conn_idle_time", p.idleTime); err != nil {
		return p, errIdleTime
	}
	query.Del("pool_max_conns")
	return p, nil
}

func duration(query url.Values, key string, unset time.Duration) (time.Duration, error) {
	if !query.Has(key) {
		return unset, nil
	}
	d, err := time.ParseDuration(query.Get(key))
	if err == nil && d <= 0 {
		err = strconv.ErrRange
	}
	query.Del(key)
	return d, err
}

// Connect makes a connection and executes a statement on it, for a setting that the driver has
// no name for.
func Connect(ctx context.Context, c driver.Connector, statement string) (driver.Conn, error) {
	conn, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	e, ok := conn.(driver.ExecerContext)
	if !ok {
		err = errConn
	} else {
		_, err = e.ExecContext(ctx, statement, nil)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// Apply configures the pool of db. Unused connections stay open: by default, database/sql
// closes all but two, and a new connection costs several round trips.
func (p Pool) Apply(db *sql.DB) {
	db.SetMaxOpenConns(p.maxConns)
	db.SetMaxIdleConns(p.maxConns)
	db.SetConnMaxLifetime(p.lifetime)
	db.SetConnMaxIdleTime(p.idleTime)
}

// Clean reports whether the part of a URL after the authority is certain to contain no part of
// the user's name or password. A password that is not percent-encoded leaves an '@' there.
func Clean(rawURL string) bool {
	_, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return false
	}
	i := strings.IndexAny(rest, "/?#")
	return i < 0 || !strings.ContainsAny(rest[i:], "@#")
}
