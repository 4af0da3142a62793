package sql

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/mist-contrib/session"
)

// UserSessions lists the sessions of a user, see [session.UserStore]. It sends one query.
func (st *Store) UserSessions(ctx context.Context, user string) ([]session.Info, error) {
	ctx, cancel, err := st.beginFor(ctx, user)
	if err != nil {
		return nil, err
	}
	defer cancel()
	var infos []session.Info
	err = st.query(ctx, nil, opList, func(rows *sql.Rows) error {
		infos = nil
		for rows.Next() {
			var w row
			if err := rows.Scan(w.dest()...); err != nil {
				return err
			}
			r, err := w.record()
			if err != nil {
				return err
			}
			infos = append(infos, r.info(r.secrets.Ends()))
		}
		return nil
	}, []byte(user))
	if err != nil {
		return nil, err
	}
	return infos, nil
}

// RemoveUserSessions ends the sessions of a user, see [session.UserStore]. It sends two
// statements, however many sessions there are.
func (st *Store) RemoveUserSessions(ctx context.Context, user string, except ...string) (int, error) {
	ctx, cancel, err := st.beginFor(ctx, user)
	if err != nil {
		return 0, err
	}
	defer cancel()
	if _, err := st.exec(ctx, nil, opRevoke, []byte(user), slotOf(user)); err != nil {
		return 0, err
	}
	keep, err := st.keep(ctx, user, except)
	if err != nil {
		return 0, err
	}
	n, err := st.endAll(ctx, []byte(user), keep)
	return int(n), err
}

// endAll removes the live sessions of a user, except those with the ids in keep.
func (st *Store) endAll(ctx context.Context, user []byte, keep []string) (n int64, err error) {
	s := &st.statements[opEnd]
	if len(keep) == 0 {
		return st.exec(ctx, nil, opEnd, user)
	}
	first := len(s.args([]any{user})) + 1
	var but strings.Builder
	for i := range keep {
		if i > 0 {
			but.WriteString(", ")
		}
		but.WriteString(st.dialect.parameter(first + i))
	}
	text := s.text + " AND id NOT IN (" + but.String() + ")" //nolint:gosec // parameters, and commas
	err = st.retryWrite(ctx, opEnd, func() error {
		args := s.args([]any{user})
		for _, id := range keep {
			args = append(args, id)
		}
		result, err := st.DB.ExecContext(ctx, text, args...)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return n, err
}

// keep returns the ids of the sessions that must not end. If except is long, keep returns only
// those that belong to the user: a statement has room for some tens of thousands of parameters.
func (st *Store) keep(ctx context.Context, user string, except []string) ([]string, error) {
	if len(except) <= 1000 {
		return except, nil
	}
	infos, err := st.UserSessions(ctx, user)
	if err != nil {
		return nil, err
	}
	wanted := make(map[string]bool, len(except))
	for _, id := range except {
		wanted[id] = true
	}
	var keep []string
	for _, info := range infos {
		if wanted[info.ID] {
			keep = append(keep, info.ID)
		}
	}
	return keep, nil
}

// beginFor is begin for calls about a user.
func (st *Store) beginFor(ctx context.Context, user string) (context.Context, context.CancelFunc, error) {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := (&session.Login{User: user}).Check(); err != nil {
		cancel()
		return nil, nil, err
	}
	return ctx, cancel, nil
}

// parameter returns the n-th parameter of a statement.
func (d *dialect) parameter(n int) string {
	if d.mark == "?" {
		return "?"
	}
	return d.mark[:1] + strconv.Itoa(n)
}
