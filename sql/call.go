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

// A clock is an argument that tells the time, for a database without a clock. The driver reads
// it when the statement has a connection and is about to run.
type clock struct{}

// Value returns the time, see [driver.Valuer].
func (clock) Value() (driver.Value, error) { return time.Now().UnixMicro(), nil }

// prepared returns a statement that the database has prepared. It returns nil if the driver
// prepares statements itself.
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
	if !s.stmt.CompareAndSwap(nil, stmt) { // another call was first
		_ = stmt.Close()
	}
	return s.stmt.Load(), nil
}

// sender returns the object that sends a statement: stmt if the database has prepared it, and
// otherwise on, the pool or the transaction.
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

// query sends a statement and passes the rows of the answer to use. If it repeats the
// statement, use gets all rows again. tx is nil outside a transaction. An error in a
// transaction fails the transaction. Otherwise query repeats the statement if the database's
// error allows that.
func (st *Store) query(ctx context.Context, tx *sql.Tx, o op, use func(rows *sql.Rows) error, args ...any) error {
	s := &st.statements[o]
	if tx != nil {
		return st.wrapError(ctx, o, st.read(ctx, tx, s, use, s.args(args)))
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
	for rows.Next() { // otherwise a statement that writes may not finish
	}
	return rows.Err()
}

// scanRow returns a function that reads an answer of at most one row.
func scanRow(dest ...any) func(rows *sql.Rows) error {
	return func(rows *sql.Rows) error {
		if !rows.Next() {
			return nil
		}
		return rows.Scan(dest...)
	}
}

// exec sends a statement that changes rows, and returns how many it changed. tx is as for
// query.
func (st *Store) exec(ctx context.Context, tx *sql.Tx, o op, args ...any) (n int64, err error) {
	s := &st.statements[o]
	if tx != nil {
		n, _, err = st.write(ctx, tx, s, s.args(args))
		return n, st.wrapError(ctx, o, err)
	}
	err = st.retryWrite(ctx, o, func() error {
		n, _, err = st.write(ctx, nil, s, s.args(args)) // reads the clock after the wait for other writers
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

// retryWrite is retry for writes. If the database allows only one writer, the other writers wait
// here, where they notice that their contexts end.
func (st *Store) retryWrite(ctx context.Context, o op, f func() error) error {
	if st.writer != nil {
		select {
		case st.writer <- struct{}{}:
			defer func() { <-st.writer }()
		case <-ctx.Done():
			return st.wrapError(ctx, o, ctx.Err())
		}
	}
	return st.retry(ctx, o, f)
}

// inTx runs f in a transaction. Any error of f undoes everything; f has already wrapped the
// errors of the driver. inTx runs f again if the database says that it did nothing
// and that another try may work.
func (st *Store) inTx(ctx context.Context, o op, f func(tx *sql.Tx) error) error {
	var verdict error // the error of f, if the database did not fail
	err := st.retryWrite(ctx, o, func() error {
		for _, o := range [...]op{o, opLock, opChange, opRemoveExpired, opLoginState, opLoginStateAll, opLockSlot, opInsertLogin, opUpdateLogin, opEvict} {
			// During the transaction, a pool of one connection has no connection left for this.
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
		_ = tx.Rollback() // verdict says why f failed
		if _, failed := errors.AsType[*opError](verdict); failed {
			return verdict
		}
		return nil
	})
	if err == nil {
		err = verdict
	}
	return err
}

// retry repeats a call that the database refused for a temporary reason, such as a deadlock,
// until the context ends. If the database is full, retry empties the log and tries once more.
func (st *Store) retry(ctx context.Context, o op, f func() error) error {
	const longest = 50 * time.Millisecond
	migrated, emptied := false, false
	for pause := time.Millisecond; ; pause = min(2*pause, longest) {
		err := f()
		code := st.code(err)
		if slices.Contains(st.dialect.missing, code) && !migrated {
			made := st.migrateOnce(ctx)
			if migrated = made == nil; migrated {
				continue
			}
			code = st.code(made) // another process may be making its tables
		}
		if slices.Contains(st.dialect.full, code) && !emptied && st.dialect.emptyLog != "" {
			emptied = true
			if _, e := st.DB.ExecContext(ctx, st.dialect.emptyLog); e == nil {
				continue
			}
		}
		if !slices.Contains(st.dialect.transient, code) {
			return st.wrapError(ctx, o, err)
		}
		jitter := time.Duration(time.Now().Nanosecond()) % pause // pauses must differ, but may be predictable
		t := time.NewTimer(pause/2 + jitter)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return st.wrapError(ctx, o, err)
		}
	}
}

// code returns the code that the database gave err, or an error that err wraps or joins. It
// returns an empty string if there is none.
func (st *Store) code(err error) string {
	if err == nil {
		return ""
	}
	if f, ok := err.(*opError); ok { //nolint:errorlint // code unwraps err itself
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

// errNoTables says why the database does not know a table of the store.
var errNoTables = errors.New("the tables are missing: call Migrate")

// wrapError wraps the error of a driver. It returns any other error unchanged.
func (st *Store) wrapError(ctx context.Context, o op, err error) error {
	if err == nil {
		return nil
	}
	if _, already := errors.AsType[*opError](err); already || errors.Is(err, errRecord) || errors.Is(err, session.ErrNotFound) {
		return err
	}
	f := &opError{op: common[o].name, cause: err, code: st.code(err), discreet: st.dialect.discreet}
	f.full, f.tables = slices.Contains(st.dialect.full, f.code), slices.Contains(st.dialect.missing, f.code)
	if ctx.Err() != nil {
		f.ended = ctx.Err()
	}
	return f
}

// An opError is an error of the database, or of the connection to it.
type opError struct {
	op       string
	cause    error
	ended    error  // why the context ended, if it did
	code     string // of the database's answer; empty: it did not answer
	discreet bool   // see dialect
	full     bool
	tables   bool // the tables are missing
}

func (f *opError) Error() string {
	switch {
	case f.tables:
		return fmt.Sprintf("sql: %s: %v", f.op, errNoTables)
	case f.code != "" && !f.discreet:
		return fmt.Sprintf("sql: %s: answered %s", f.op, f.code)
	}
	return fmt.Sprintf("sql: %s: %v", f.op, f.safeCause())
}

// safeCause returns the part of the cause that names neither the user nor the database. The errors of
// drivers name both if they cannot connect.
func (f *opError) safeCause() error {
	if network, ok := errors.AsType[*net.OpError](f.cause); ok {
		return network
	}
	if f.ended != nil {
		return f.ended
	}
	return f.cause
}

func (f *opError) Unwrap() []error {
	if f.ended != nil {
		return []error{f.cause, f.ended}
	}
	return []error{f.cause}
}

// Is makes the error of a full database match [session.ErrFull].
func (f *opError) Is(target error) bool {
	return target == session.ErrFull && f.full
}
