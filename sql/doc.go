// Package sql keeps sessions in PostgreSQL, MySQL, MariaDB or SQLite: in an application's own
// database, or in one file that survives a restart. It behaves exactly like package memory,
// even in edge cases.
//
//	db, err := sqlite.Open("sqlite:sessions.db") // package sql/sqlite
//	store := &sql.Store{DB: db}
//
// This package contains no driver. Packages sql/postgres, sql/mysql and sql/sqlite open a
// database with a driver and the settings that the store needs. Any other *sql.DB works too.
// The store recognises the drivers pgx (stdlib), lib/pq, go-sql-driver/mysql and those for
// SQLite; for any other driver set Dialect.
//
// # Tables
//
// [Schema] prints the tables. If they are missing, the store creates them, if it has the right
// to.
//
// The table of records has one row for each session, with all values in one column. A read
// loads one row by its primary key. A write replaces the values if the row still has the
// version that was read. If another write was first, the store locks the row and tries again,
// so concurrent writes lose nothing. The table has three indexes:
//
//   - The primary key is the id. Every request finds its session by it.
//   - account finds the sessions of a user, for listing, limits and revocations.
//   - due finds sessions that may have expired. A sweep searches it, and removes only sessions
//     that have ended. A refresh changes due at most once in an idle timeout. Other refreshes
//     touch no index; on PostgreSQL they are HOT updates.
//
// The table of users has up to 1024 rows without a name, the slots. A hash of the user's name
// selects one of them. Logins and revocations change the slot's version one after the other. So
// a revocation misses no login in progress, and limits are exact. Users with the same slot only
// wait for each other if they log in at the same moment.
//
// After a revocation, the user also has a row of their own for two hours. It holds the time of
// the revocation, so that the store refuses a login that began earlier. The index until finds
// these rows for removal.
//
// A login is one query and one statement. It is a short transaction on SQLite, and on MySQL if
// it has a limit or if its slot has no row yet. It also becomes a transaction if another call
// has changed its slot meanwhile.
//
// A login from an anonymous session changes the id, secret and user in the row of that session.
// So the values always belong to exactly one session.
//
// # Time
//
// The store uses the database's clock. Each statement reads it after it holds its locks. SQLite
// has no clock of its own; the store uses the clock of the process instead. All times are
// microseconds since 1970.
//
// # Repetition
//
// After a deadlock, a serialization failure or an error of a busy SQLite file, the database has
// done nothing. The store tries again until the context ends. It repeats nothing else.
package sql
