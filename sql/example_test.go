package sql_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/sqlite"
)

// A session survives a restart of the program.
func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()

	ctx := context.Background()
	visit := func(token string) string {
		db, err := sqlite.Open("sqlite:" + filepath.Join(dir, "sessions.db"))
		if err != nil {
			fmt.Println(err)
			return ""
		}
		defer func() { _ = db.Close() }()
		store := &sql.Store{DB: db}

		s, err := store.Open(ctx, token)
		if token == "" {
			s, err = store.Login(ctx, "", session.Login{User: "alice"}) // a Manager's Login calls it
		}
		if err != nil {
			fmt.Println(err)
			return ""
		}
		info, err := session.Describe(s)
		fmt.Println(info.User, err)
		return session.Token(s)
	}
	token := visit("")
	visit(token) // the next process
	// Output:
	// alice <nil>
	// alice <nil>
}

// The store is a field of the Manager.
func ExampleStore() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()

	db, err := sqlite.Open("sqlite:" + filepath.Join(dir, "sessions.db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = db.Close() }()
	store := &sql.Store{DB: db, Prefix: "shop_"}
	m := &session.Manager{Store: store, Propagator: &cookie.Propagator{}}
	fmt.Println(m.Check())
	fmt.Println(store.Migrate(context.Background()))
	// Output:
	// <nil>
	// <nil>
}

// Schema prints the statements for those who run migrations themselves.
func ExampleSchema() {
	statements, err := sql.Schema(sql.SQLite, "shop_")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(statements[:len("CREATE TABLE IF NOT EXISTS shop_records")])
	_, err = sql.Schema(sql.SQLite, "no such prefix")
	fmt.Println(err != nil)
	// Output:
	// CREATE TABLE IF NOT EXISTS shop_records
	// true
}
