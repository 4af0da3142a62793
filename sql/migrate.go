package sql

import (
	"context"
	"strings"
)

// Migrate creates the tables and indexes of the store that are missing. Running it again is
// harmless, and several machines may run it at once. It needs the right to create tables;
// [Schema] prints the statements for applications that run them themselves. A store without
// tables calls Migrate once by itself.
func (st *Store) Migrate(ctx context.Context) error {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	return st.retryWrite(ctx, opMigrate, func() error { return st.migrateOnce(ctx) })
}

// migrateOnce lets one call at a time create the tables. If the database allows only one
// writer, the caller must be that writer.
func (st *Store) migrateOnce(ctx context.Context) error {
	select {
	case st.migrating <- struct{}{}:
		defer func() { <-st.migrating }()
	case <-ctx.Done():
		return st.wrapError(ctx, opMigrate, ctx.Err())
	}
	return st.migrate(ctx)
}

func (st *Store) migrate(ctx context.Context) error {
	schema, err := Schema(st.dialect.id, st.Prefix)
	if err != nil {
		return err
	}
	for text := range strings.SplitSeq(schema, ";\n") {
		if strings.TrimSpace(text) == "" {
			continue
		}
		_, err := st.DB.ExecContext(ctx, text)
		if st.duplicate(err) { // another machine is creating the same table
			_, err = st.DB.ExecContext(ctx, text)
		}
		if err != nil {
			return st.wrapError(ctx, opMigrate, err)
		}
	}
	return nil
}
