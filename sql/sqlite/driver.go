package sqlite

import (
	"github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/internal/pool"
)

//nolint:gochecknoinits // a program that imports this package can name it in a configuration, as with database/sql
func init() { pool.Register(Open, sql.SQLite, "sqlite") }
