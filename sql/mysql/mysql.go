// Package mysql opens MySQL and MariaDB databases for package sql, with go-sql-driver/mysql. A
// program that imports it can use a URL of such a server in its configuration, see package
// config.
package mysql

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/mist-contrib/session/sql/internal/pool"
)

const (
	dialTimeout = 5 * time.Second

	// ioTimeout ends a connection if the server is silent and no call is waiting for it.
	ioTimeout = 30 * time.Second
)

var (
	errURL = errors.New("mysql: the URL is not of the form mysql://user:password@host:port/database?tls=true; " +
		"a user's name and a password must be percent-encoded")
	errSetting = errors.New("mysql: the value of a setting in the URL is not valid")
)

// settings returns the driver's settings that a URL may contain. The others could break the
// store's assumptions.
func settings() []string {
	return []string{
		"allowCleartextPasswords", "allowFallbackToPlaintext", "allowNativePasswords", "charset", "collation", "compress",
		"connectionAttributes", "maxAllowedPacket", "readTimeout", "serverPubKey", "timeout", "tls", "writeTimeout",
	}
}

// Open returns the database of a URL. It does not connect.
//
// The URL is mysql://user:password@host:port/database?tls=true. The scheme mariadb means the
// same. With socket=/run/mysqld/mysqld.sock the URL needs no host. A URL can contain these
// settings:
//
//   - the driver's settings for the connection: tls (true, skip-verify, preferred, or a name
//     that the program has registered), timeout, readTimeout, writeTimeout, maxAllowedPacket,
//     compress, serverPubKey, charset, collation, connectionAttributes,
//     allowCleartextPasswords, allowFallbackToPlaintext, allowNativePasswords;
//   - pool_max_conns: the maximum number of connections. Unset: 16;
//   - pool_max_conn_lifetime: how long a connection is used. Unset: 30m;
//   - pool_max_conn_idle_time: how long an unused connection stays open. Unset: 4m.
//
// Unset, timeout is five seconds, and readTimeout and writeTimeout are 30 seconds. No error
// contains a value of the URL.
//
// Each connection uses autocommit, READ COMMITTED, a strict sql_mode, and UTC. It waits at most
// five seconds for a lock, because a server keeps waiting after its client has given up. If a
// server has become read-only, the pool replaces the connection to it.
//
// The server must not run with sysdate-is-now: then a statement could not tell how long it has
// waited for a lock.
func Open(rawURL string) (*sql.DB, error) {
	if !pool.Clean(rawURL) {
		return nil, errURL
	}
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "mysql" && u.Scheme != "mariadb" {
		return nil, errURL
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errURL
	}
	limits, err := pool.Take(query)
	if err != nil {
		return nil, errors.New("mysql: " + err.Error())
	}
	socket := query.Get("socket")
	query.Del("socket")
	address := "unix(" + socket + ")"
	if socket == "" {
		address = "tcp(" + net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "3306")) + ")"
	}
	if (socket == "") == (u.Hostname() == "") || strings.Contains(address[:len(address)-1], ")") {
		return nil, errURL
	}
	for key := range query {
		if !slices.Contains(settings(), key) {
			return nil, errors.New("mysql: the URL has a setting that is not known or not allowed: " + key)
		}
	}
	database := strings.TrimPrefix(u.Path, "/")
	if database == "" || strings.Contains(database, "/") {
		return nil, errURL
	}
	config, err := mysql.ParseDSN(address + "/?" + query.Encode())
	if err != nil {
		return nil, errSetting // the driver's error contains the value
	}
	config.User, config.DBName = u.User.Username(), database
	config.Passwd, _ = u.User.Password()
	config.RejectReadOnly = true
	config.Logger = &mysql.NopLogger{} // each call returns its error
	config.Timeout = cmp.Or(config.Timeout, dialTimeout)
	config.ReadTimeout, config.WriteTimeout = cmp.Or(config.ReadTimeout, ioTimeout), cmp.Or(config.WriteTimeout, ioTimeout)
	config.Params = map[string]string{
		"autocommit":               "1",
		"sql_mode":                 "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
		"time_zone":                "'+00:00'",
		"innodb_lock_wait_timeout": "5",
	}
	c, err := mysql.NewConnector(config)
	if err != nil {
		return nil, errSetting
	}
	db := sql.OpenDB(connector{c})
	limits.Apply(db)
	return db, nil
}

// A connector makes connections that use READ COMMITTED. It sends a statement, because the name
// of the variable differs between MySQL and MariaDB.
type connector struct{ driver.Connector }

// Connect makes a connection.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	return pool.Connect(ctx, c.Connector, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
}
