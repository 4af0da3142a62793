package sql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/mist-contrib/session"
)

// A clock is the argument that tells the time, where the database has none of its own. It
// is read when the statement has a connection and is about to run.
type clock struct{}

// Value tells the time, see [driver.Valuer].
func (clock) Value() (driver.Value, error) { return time.Now().UnixMicro(), nil }

// prepared returns a statement that the database keeps; nil where the driver sees to
// that.
func (st *Store) prepared(ctx context.Context, s *statement) (*sql.Stmt, error) {
	if !st.dialect.prepare {
		return nil, nil //nolint:nilnil // see above
	}
	if stmt := s.stmt.Load(); stmt != nil {
		return stmt, nil
	}
	stmt, err := st.DB.PrepareContext(ctx, s.text)
	if err != nil {
		return nil, err
	}
	if !s.stmt.CompareAndSwap(nil, stmt) { // somebody else was first
		_ = stmt.Close()
	}
	return s.stmt.Load(), nil
}

// sender is what a statement is sent by: itself, if the database keeps it, else the pool
// or the transaction.
func (st *Store) sender(ctx context.Context, tx *sql.Tx, s *statement) (stmt *sql.Stmt, on interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
}, err error,
) {
	stmt, err = st.prepared(ctx, s)
	if tx == nil || err != nil {
		return stmt, st.DB, err
	}
	if stmt != nil {
		stmt = tx.StmtContext(ctx, stmt)
	}
	return stmt, tx, nil
}

// query sends a statement and gives the rows of the answer to use, all of them again if
// it repeats the statement. tx is nil outside of a transaction. What fails there fails
// the transaction; else it is repeated where the database says that it may be.
func (st *Store) query(ctx context.Context, tx *sql.Tx, o op, use func(rows *sql.Rows) error, args ...any) error {
	s := &st.statements[o]
	if tx != nil {
		return st.failed(ctx, o, st.read(ctx, tx, s, use, s.args(args)))
	}
	return st.retry(ctx, o, func() error { return st.read(ctx, nil, s, use, s.args(args)) })
}

func (st *Store) read(ctx context.Context, tx *sql.Tx, s *statement, use func(rows *sql.Rows) error, args []any) (err error) {
	stmt, on, err := st.sender(ctx, tx, s)
	if err != nil {
		return err
	}
	var rows *sql.Rows
	if stmt != nil {
		rows, err = stmt.QueryContext(ctx, args...)
	} else {
		rows, err = on.QueryContext(ctx, s.text, args...)
	}
	if err != nil {
		return err
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = e
		}
	}()
	if err := use(rows); err != nil {
		return err
	}
	for rows.Next() { // or a statement that writes may not be done
	}
	return rows.Err()
}

// one reads the row of an answer that has one at most.
func one(dest ...any) func(rows *sql.Rows) error {
	return func(rows *sql.Rows) error {
		if !rows.Next() {
			return nil
		}
		return rows.Scan(dest...)
	}
}

// exec sends a statement that changes rows, and returns how many. tx as for query.
func (st *Store) exec(ctx context.Context, tx *sql.Tx, o op, args ...any) (n int64, err error) {
	s := &st.statements[o]
	if tx != nil {
		n, _, err = st.write(ctx, tx, s, s.args(args))
		return n, st.failed(ctx, o, err)
	}
	err = st.alone(ctx, o, func() error {
		n, _, err = st.write(ctx, nil, s, s.args(args)) // with the time after the wait for other writers
		return err
	})
	return n, err
}

func (st *Store) write(ctx context.Context, tx *sql.Tx, s *statement, args []any) (n, id int64, err error) {
	stmt, on, err := st.sender(ctx, tx, s)
	if err != nil {
		return 0, 0, err
	}
	var result sql.Result
	if stmt != nil {
		result, err = stmt.ExecContext(ctx, args...)
	} else {
		result, err = on.ExecContext(ctx, s.text, args...)
	}
	if err != nil {
		return 0, 0, err
	}
	if st.dialect.insertID {
		if id, err = result.LastInsertId(); err != nil {
			return 0, 0, err
		}
	}
	n, err = result.RowsAffected()
	return n, id, err
}

// alone is retry for what writes: where the database can have only one writer, others
// wait here, where they look at their contexts.
func (st *Store) alone(ctx context.Context, o op, f func() error) error {
	if st.writer != nil {
		select {
		case st.writer <- struct{}{}:
			defer func() { <-st.writer }()
		case <-ctx.Done():
			return st.failed(ctx, o, ctx.Err())
		}
	}
	return st.retry(ctx, o, f)
}

// inTx runs f in a transaction. What f returns is the error of a call already, or one of
// package session: either undoes all. f runs again where the database says that nothing
// was done, and what may be done again.
func (st *Store) inTx(ctx context.Context, o op, f func(tx *sql.Tx) error) error {
	var verdict error // of f, if the database has nothing to do with it
	err := st.alone(ctx, o, func() error {
		for _, o := range [...]op{o, opLock, opChange, opBury, opVisitor, opVisitors, opClaim, opBegin, opEnter, opEvict} {
			// With a pool of one connection there is none for this later.
			if _, err := st.prepared(ctx, &st.statements[o]); err != nil {
				return err
			}
		}
		tx, err := st.DB.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if verdict = f(tx); verdict == nil {
			return tx.Commit()
		}
		_ = tx.Rollback() // why it failed is known
		if _, failed := errors.AsType[*failure](verdict); failed {
			return verdict
		}
		return nil
	})
	if err == nil {
		err = verdict
	}
	return err
}

// retry repeats what the database has refused for a reason that passes, such as a
// deadlock, until the context ends. If there is no room, it empties the log and tries once
// more.
func (st *Store) retry(ctx context.Context, o op, f func() error) error {
	const longest = 50 * time.Millisecond
	migrated, emptied := false, false
	for pause := time.Millisecond; ; pause = min(2*pause, longest) {
		err := f()
		code := st.code(err)
		if slices.Contains(st.dialect.missing, code) && !migrated {
			made := st.migrateAlone(ctx)
			if migrated = made == nil; migrated {
				continue
			}
			code = st.code(made) // another process may make its tables
		}
		if slices.Contains(st.dialect.full, code) && !emptied && st.dialect.emptyLog != "" {
			emptied = true
			if _, e := st.DB.ExecContext(ctx, st.dialect.emptyLog); e == nil {
				continue
			}
		}
		if !slices.Contains(st.dialect.transient, code) {
			return st.failed(ctx, o, err)
		}
		jitter := time.Duration(time.Now().Nanosecond()) % pause // to be different, not unknown
		t := time.NewTimer(pause/2 + jitter)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return st.failed(ctx, o, err)
		}
	}
}

// code returns the code that the database gave an error, or one that it wraps or joins, if
// it did.
func (st *Store) code(err error) string {
	if err == nil {
		return ""
	}
	if f, ok := err.(*failure); ok { //nolint:errorlint // it goes through what err wraps by itself
		return f.code
	}
	if code := st.dialect.code(err); code != "" {
		return code
	}
	switch e := err.(type) { //nolint:errorlint // see above
	case interface{ Unwrap() error }:
		return st.code(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			if code := st.code(err); code != "" {
				return code
			}
		}
	}
	return ""
}

// errNoTables is why a database knows no table of the store's.
var errNoTables = errors.New("the tables are missing: call Migrate")

// failed wraps the error of a driver. It returns any other error as it is.
func (st *Store) failed(ctx context.Context, o op, err error) error {
	if err == nil {
		return nil
	}
	if _, already := errors.AsType[*failure](err); already || errors.Is(err, errRecord) || errors.Is(err, session.ErrNotFound) {
		return err
	}
	f := &failure{op: common[o].name, cause: err, code: st.code(err), discreet: st.dialect.discreet}
	f.full, f.tables = slices.Contains(st.dialect.full, f.code), slices.Contains(st.dialect.missing, f.code)
	if ctx.Err() != nil {
		f.ended = ctx.Err()
	}
	return f
}

// A failure is an error of the database, or of the way to it.
type failure struct {
	op       string
	cause    error
	ended    error  // why the context ended, if it did
	code     string // of the error that the database answered with, if it did
	discreet bool   // see dialect
	full     bool
	tables   bool // there are none
}

func (f *failure) Error() string {
	switch {
	case f.tables:
		return fmt.Sprintf("sql: %s: %v", f.op, errNoTables)
	case f.code != "" && !f.discreet:
		return fmt.Sprintf("sql: %s: answered %s", f.op, f.code)
	}
	return fmt.Sprintf("sql: %s: %v", f.op, f.why())
}

// why is the part of the cause that says nothing of who connects to what database, as
// drivers do where they cannot connect.
func (f *failure) why() error {
	if network, ok := errors.AsType[*net.OpError](f.cause); ok {
		return network
	}
	if f.ended != nil {
		return f.ended
	}
	return f.cause
}

func (f *failure) Unwrap() []error {
	if f.ended != nil {
		return []error{f.cause, f.ended}
	}
	return []error{f.cause}
}

// Is makes a database without room a store that is full.
func (f *failure) Is(target error) bool {
	return target == session.ErrFull && f.full
}
