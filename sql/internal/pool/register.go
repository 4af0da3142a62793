package pool

import (
	stdsql "database/sql"
	"io"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/driver"
	"github.com/mist-contrib/session/sql"
)

// Register registers the databases of a dialect with package config, under schemes. open must
// not connect.
func Register(open func(url string) (*stdsql.DB, error), dialect sql.Dialect, schemes ...string) {
	driver.Register(func(o driver.Options) (session.Store, io.Closer, error) {
		db, err := open(o.URL)
		if err != nil {
			return nil, nil, err
		}
		st := &sql.Store{
			DB: db, Dialect: dialect, Prefix: o.Prefix,
			IdleTimeout: o.IdleTimeout, AbsoluteTimeout: o.AbsoluteTimeout, OpTimeout: o.OpTimeout,
		}
		return st, db, nil
	}, schemes...)
}
