// Package sqltest starts real PostgreSQL and MariaDB servers for tests and
// benchmarks, and pgbouncer before PostgreSQL. A missing server is a failure,
// never a skip.
//
//	func TestMain(m *testing.M) { os.Exit(sqltest.Main(m)) }
//
//	db, err := postgres.Open(sqltest.SharedPostgres(t).Database(t)) // an empty database of the test's own
//	server := sqltest.StartPostgres(t, "max_connections=20")        // a server to kill
//
// Servers listen on 127.0.0.1, keep their files in a folder of their own and are
// ended with the test. On Linux they also end with the test binary, whatever ends
// that. They do not wait for the disk; see [StartPostgres] and [StartMariaDB].
package sqltest
