package sql_test

import (
	"context"
	stdsql "database/sql"
	"database/sql/driver"
	"testing"
	"time"

	"github.com/mist-contrib/session/sql"
)

// watched is a store that tells each request to the server before it sends it. The text
// of one that is no statement is empty.
func (b base) watched(tb testing.TB, plain *stdsql.DB, tell func(ctx context.Context, text string, inTx bool)) *sql.Store {
	tb.Helper()
	db := stdsql.OpenDB(watch{plain, tell})
	tb.Cleanup(func() { _ = db.Close() })
	dialect := map[string]sql.Dialect{"postgres": sql.Postgres, "mariadb": sql.MySQL, "sqlite": sql.SQLite}[b.name]
	return &sql.Store{DB: db, Dialect: dialect, OpTimeout: time.Minute}
}

// A watch connects through the pool of a database.
type watch struct {
	db   *stdsql.DB
	tell func(ctx context.Context, text string, inTx bool)
}

func (w watch) Driver() driver.Driver { return w.db.Driver() }

func (w watch) Connect(ctx context.Context) (driver.Conn, error) {
	pooled, err := w.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	c := &watchedConn{watch: w, pooled: pooled}
	err = pooled.Raw(func(raw any) error {
		c.Conn = raw.(driver.Conn)
		return nil
	})
	return c, err
}

type watchedConn struct {
	driver.Conn
	watch
	pooled *stdsql.Conn
	inTx   bool
}

func (c *watchedConn) Close() error { return c.pooled.Close() }

func (c *watchedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	c.tell(ctx, text, c.inTx)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, text, args)
}

func (c *watchedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	c.tell(ctx, text, c.inTx)
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, text, args)
}

func (c *watchedConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	c.tell(ctx, text, true)
	stmt, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return &watchedStmt{stmt, c, text}, nil
}

func (c *watchedConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	c.tell(ctx, "", c.inTx)
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
	c.inTx = err == nil
	return &watchedTx{tx, c}, err
}

func (c *watchedConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type watchedTx struct {
	driver.Tx
	conn *watchedConn
}

func (tx *watchedTx) Commit() error {
	tx.conn.tell(context.Background(), "", true)
	tx.conn.inTx = false
	return tx.Tx.Commit()
}

func (tx *watchedTx) Rollback() error {
	tx.conn.tell(context.Background(), "", true)
	tx.conn.inTx = false
	return tx.Tx.Rollback()
}

type watchedStmt struct {
	driver.Stmt
	conn *watchedConn
	text string
}

func (s *watchedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.conn.tell(ctx, s.text, s.conn.inTx)
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

func (s *watchedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.conn.tell(ctx, s.text, s.conn.inTx)
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}
