// Package sqltest starts real PostgreSQL and MariaDB servers for tests and
// benchmarks, and pgbouncer in front of PostgreSQL. If a server is not installed, the
// test fails and is never skipped.
//
//	func TestMain(m *testing.M) { os.Exit(sqltest.Main(m)) }
//
//	db, err := postgres.Open(sqltest.SharedPostgres(t).Database(t)) // an empty database of the test's own
//	server := sqltest.StartPostgres(t, "max_connections=20")        // a server to kill
//
// Servers listen on 127.0.0.1, keep their files in their own folders and end with the
// test. On Linux they also end with the test binary, even if it is killed. They do not
// wait for the disk; see [StartPostgres] and [StartMariaDB].
package sqltest
