package sql

import (
	"context"
	"database/sql"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// sweepEvery is how many calls that made a session there are to one that sweeps,
	// which removes more than these have made.
	sweepEvery = 16
	sweepBatch = 64

	// sweepAll is how many calls there are to one that sweeps from the beginning, see
	// Store.swept. The others leave rows that a transaction had locked, or that are due
	// earlier because a clock was set back.
	sweepAll = 1024 * sweepEvery

	// sweepPatience is how long such a call may take longer for it.
	sweepPatience = 250 * time.Millisecond
)

// Sweep removes all sessions that have expired, and returns how many. Nothing depends on
// it being called, because the calls that make sessions remove what has expired, a few at
// a time; call it on a schedule where the table may have grown much and then few sessions
// are made. It works in batches, so that it keeps no lock for long, and may run at the
// same time on several machines.
//
// A row is removed at the latest one idle timeout after its session has ended.
func (st *Store) Sweep(ctx context.Context) (int, error) {
	if err := st.Check(); err != nil {
		return 0, err
	}
	if err := ended(ctx); err != nil {
		return 0, err
	}
	removed := 0
	var from atomic.Int64 // Sweep starts from the beginning, and not where tidy has ended
	defer func() { st.swept.Store(from.Load()) }()
	for {
		n, users, err := st.sweep(ctx, 100, &from)
		removed += n
		if err != nil || n == 0 && users == 0 {
			return removed, err
		}
	}
}

// tidy is what a call does for the table after it has made a session.
func (st *Store) tidy(ctx context.Context) {
	n := st.calls.Add(1)
	if n%sweepEvery != 0 {
		return
	}
	from := &st.swept
	if n%sweepAll == 0 {
		from = new(atomic.Int64)
	}
	ctx, cancel := context.WithTimeout(ctx, sweepPatience)
	defer cancel()
	_, _, _ = st.sweep(ctx, sweepBatch, from) // the next one will do it
}

// sweep removes at most n sessions that have expired, and n users. from is where it
// begins, if the dialect marks: rows that were due before have been removed.
func (st *Store) sweep(ctx context.Context, n int, from *atomic.Int64) (sessions, users int, err error) {
	if !st.dialect.marks {
		sessions, err = st.sweepOne(ctx, opSweep, n)
	} else {
		var removed, last number
		if err = st.query(ctx, nil, opSweep, one(&removed, &last), n, from.Load()); err == nil {
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
	if !st.dialect.picks {
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
		return st.failed(ctx, o, err)
	})
	return removed, err
}
