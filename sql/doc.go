// Package sql keeps sessions in PostgreSQL, MySQL, MariaDB or SQLite: in the database
// that an application has already, or in one file that survives a restart. It behaves as
// package memory does, to the last edge case.
//
//	db, err := sqlite.Open("sqlite:sessions.db") // package sql/sqlite
//	store := &sql.Store{DB: db}
//
// This package knows no driver. Packages sql/postgres, sql/mysql and sql/sqlite open a
// database with a driver and the settings that the store needs. Any other *sql.DB will
// do; the drivers pgx (stdlib), lib/pq, go-sql-driver/mysql and those for SQLite are
// recognised, for others set Dialect.
//
// # Tables
//
// [Schema] prints them. A store that finds none makes them, if it may.
//
// The table of records has one row for each session, and its values in one column: a
// read is one row by its primary key, and a write replaces the values if the row's
// version is the one that was read. Where it is not, somebody else was first, and the
// write begins anew with the row locked; so concurrent writes lose nothing. Three indexes:
//
//   - the primary key, the id, by which every request finds its session;
//   - account: the sessions of a user, for listing, limits and revocations;
//   - due: what has expired, for removing it. A refresh moves due once in an idle
//     timeout at most, so the other refreshes touch no index (on PostgreSQL they are
//     HOT updates). A sweep looks there, and removes only sessions that have ended.
//
// The table of users has up to 1024 rows without a name, the slots. A user has one of
// them, by hash. Logins and revocations change its version one after the other: a
// revocation cannot miss a login that is in progress, and limits are exact. Users who
// share a slot wait for each other where they log in at the same moment, no more. A user
// has a row of their own for two hours after a revocation: it says when that was, so that
// a login that began before is refused. Index: until, for removing those rows.
//
// A login is one query and one statement. On MySQL one that keeps a limit, and on SQLite
// any, is a short transaction; so is one whose slot somebody else changed meanwhile, or
// has no row yet.
//
// A login from an anonymous session changes the row of that session: its id, secret and
// user. So there is no moment at which values are in neither or in both.
//
// # Time
//
// The database's clock decides, read by each statement after it has its locks; on SQLite
// it is the clock of the process. All times are microseconds since 1970.
//
// # Repetition
//
// A deadlock, a serialization failure or a busy SQLite file means that nothing was done:
// the store tries again until the context ends. It repeats nothing else.
package sql
