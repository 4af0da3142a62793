package sql

import (
	"cmp"
	"context"
	"database/sql"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// One in sweepEvery calls that create a session also sweeps. A sweep removes up to sweepBatch
	// sessions, which is more than these calls create.
	sweepEvery = 16
	sweepBatch = 64

	// One in sweepAll of these calls sweeps from the beginning, see Store.swept. The other sweeps miss rows that a transaction had locked, and rows that are due
	// earlier because a clock was set back.
	sweepAll = 1024 * sweepEvery

	// sweepPatience bounds how much longer a call may take because it sweeps.
	sweepPatience = 250 * time.Millisecond
)

// Sweep removes all expired sessions, and returns how many. The store does not depend on it:
// calls that create sessions also remove a few expired ones each. Call Sweep on a schedule if
// the table may have grown large and few new sessions are created. It works in batches, so it
// holds no lock for long. Several machines may run it at the same time.
//
// A row can be removed at the latest one idle timeout after its session has ended.
func (st *Store) Sweep(ctx context.Context) (int, error) {
	if err := st.Check(); err != nil {
		return 0, err
	}
	if err := contextError(ctx); err != nil {
		return 0, err
	}
	removed := 0
	var from atomic.Int64 // Sweep starts from the beginning, not where tidy ended
	defer func() { st.swept.Store(from.Load()) }()
	for {
		n, users, err := st.sweep(ctx, 100, &from)
		removed += n
		if err != nil || n == 0 && users == 0 {
			return removed, err
		}
	}
}

// tidy cleans the table after a call that created a session.
func (st *Store) tidy(ctx context.Context) {
	n := st.calls.Add(1)
	if n%sweepEvery != 0 {
		return
	}
	from := &st.swept
	if n%sweepAll == 0 {
		from = new(atomic.Int64)
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(st.cleanup, sweepPatience))
	defer cancel()
	_, _, _ = st.sweep(ctx, sweepBatch, from) // after an error, the next sweep does it
}

// sweep removes at most n expired sessions, and at most n users. If the dialect marks, it
// begins at from, because rows that were due earlier have been removed.
func (st *Store) sweep(ctx context.Context, n int, from *atomic.Int64) (sessions, users int, err error) {
	if !st.dialect.resumesSweep {
		sessions, err = st.sweepOne(ctx, opSweep, n)
	} else {
		var removed, last number
		if err = st.query(ctx, nil, opSweep, scanRow(&removed, &last), n, from.Load()); err == nil {
			from.Store(int64(last))
		}
		sessions = int(removed)
	}
	if err == nil {
		users, err = st.sweepOne(ctx, opSweepUsers, n)
	}
	return sessions, users, err
}

func (st *Store) sweepOne(ctx context.Context, o op, n int) (removed int, err error) {
	if !st.dialect.sweepsInTwoSteps {
		n, err := st.exec(ctx, nil, o, n)
		return int(n), err
	}
	err = st.inTx(ctx, o, func(tx *sql.Tx) error {
		var keys []any
		err := st.query(ctx, tx, o, func(rows *sql.Rows) error {
			for rows.Next() {
				var key []byte
				if err := rows.Scan(&key); err != nil {
					return err
				}
				keys = append(keys, key)
			}
			return nil
		}, n)
		if removed = len(keys); err != nil || removed == 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, st.statements[o+1].text+strings.Repeat(", ?", removed-1)+")", keys...)
		return st.wrapError(ctx, o, err)
	})
	return removed, err
}
