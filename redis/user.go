package redis

import (
	"context"
	"slices"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/token"
)

// UserSessions lists the sessions of a user, see [session.UserStore]: one command
// for their index, then one round trip to each server that has some of them, and
// one more where the index lists some that have ended.
func (st *Store) UserSessions(ctx context.Context, user string) ([]session.Info, error) {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := checkUser(user); err != nil {
		return nil, err
	}
	index := st.userKey(user)
	listed := goredis.NewStringSliceCmd(ctx, "hkeys", index)
	if err := st.Client.Process(ctx, listed); err != nil {
		return nil, st.failed(ctx, "list", err)
	}
	ids := slices.DeleteFunc(listed.Val(), func(id string) bool { return !token.ValidID(id) })
	infos, dead, err := st.describe(ctx, user, ids)
	if err != nil {
		return nil, err
	}
	if len(dead) > 0 { // it would do no harm if they stayed
		_ = st.Client.Process(ctx, goredis.NewIntCmd(ctx, append([]any{"hdel", index}, dead...)...))
	}
	slices.SortFunc(infos, func(a, b session.Info) int { return b.LastSeen.Compare(a.LastSeen) })
	return infos, nil
}

// checkUser is what [session.Login.Check] says of a user.
func checkUser(user string) error {
	l := session.Login{User: user}
	return l.Check()
}

// describe loads what is stored of sessions but for their values, and tells which
// are not the user's, or not any more.
func (st *Store) describe(ctx context.Context, user string, ids []string) (infos []session.Info, dead []any, err error) {
	fields := [...]string{"n", "h", "c", "t", "i", "a", "r", "u", "l", "v", "p", "d0", "d1", "d2", "d3", "d4", "d5"}
	unreadable := false
	err = each(ctx, st, "list", len(ids), func(i int) *goredis.SliceCmd {
		args := []any{"hmget", st.prefix + ids[i]}
		for _, name := range fields {
			args = append(args, name)
		}
		return goredis.NewSliceCmd(ctx, args...)
	}, func(i int, cmd *goredis.SliceCmd) {
		found := make(map[string]string, len(fields))
		for j, value := range cmd.Val() {
			if s, ok := value.(string); ok {
				found[fields[j]] = s
			}
		}
		owner, bound := found["u"]
		switch {
		case len(found) == 0, bound && owner != user:
			dead = append(dead, ids[i])
		case bound:
			r, err := parse(found)
			unreadable = unreadable || err != nil
			infos = append(infos, r.info(ids[i]))
		}
	})
	if err == nil && unreadable {
		err = errRecord
	}
	return infos, dead, err
}

// RemoveUserSessions ends the sessions of a user, see [session.UserStore]. In a
// Cluster it asks every slot, see docs/redis.md in the repository for what that
// costs.
//
// It cannot miss one. A login is noted in the index before it is carried out. The
// first step here notes the time of the revocation there and reads the index, at
// once. So a login that was noted before is read, and its session ended, whether it
// is the user's already or not yet; and one that comes to be noted later is
// refused. Entries that the index has lost are found in the slots, which are read
// last.
//
// The number can be too low after an error, and where a command was sent again.
func (st *Store) RemoveUserSessions(ctx context.Context, user string, except ...string) (int, error) {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	if err := checkUser(user); err != nil {
		return 0, err
	}
	reply, err := st.eval(ctx, &revokeScript, st.userKey(user), append(scriptArgs(1), 2*session.BeganLimit.Milliseconds()))
	if err != nil {
		return 0, err
	}
	list, _ := reply.([]any)
	noted, err := words(list)
	if err != nil {
		return 0, err
	}
	skip := make(map[string]bool, len(noted)+len(except))
	for _, id := range except {
		skip[id] = true
	}
	ended, err1 := st.endOnce(ctx, user, noted, skip)
	lost, err2 := st.inSlots(ctx, user)
	more, err3 := st.endOnce(ctx, user, lost, skip)
	return ended + more, firstError(err1, err2, err3)
}

// endOnce ends the sessions of those ids that are not to be skipped, and adds them
// to these.
func (st *Store) endOnce(ctx context.Context, user string, ids []string, skip map[string]bool) (int, error) {
	var todo []string
	for _, id := range ids {
		if !skip[id] && token.ValidID(id) {
			todo = append(todo, id)
		}
		skip[id] = true
	}
	ended, err := st.end(ctx, user, todo)
	return len(ended), err
}

// inSlots returns the ids in all indexes of slots.
func (st *Store) inSlots(ctx context.Context, user string) (ids []string, err error) {
	hash, tags := userHash(user), st.slotTags()
	err = each(ctx, st, "revoke", len(tags), func(i int) *goredis.StringSliceCmd {
		return goredis.NewStringSliceCmd(ctx, "zrange", st.slotKey(hash, tags[i]), 0, -1)
	}, func(_ int, cmd *goredis.StringSliceCmd) {
		ids = append(ids, cmd.Val()...)
	})
	return ids, err
}

// end ends sessions, and returns which of them were the user's.
func (st *Store) end(ctx context.Context, user string, ids []string) (ended []string, err error) {
	if st.WaitReplicas > 0 {
		for _, id := range ids {
			reply, e := st.eval(ctx, &killScript, st.prefix+id, append(scriptArgs(1), user))
			if reply == int64(1) {
				ended = append(ended, id)
			}
			err = firstError(err, e)
		}
		return ended, err
	}
	err = each(ctx, st, killScript.name, len(ids), func(i int) *goredis.Cmd {
		// Nobody could repair it in a pipeline when a server does not know its hash.
		return goredis.NewCmd(ctx, "eval", killScript.source, 1, st.prefix+ids[i], user)
	}, func(i int, cmd *goredis.Cmd) {
		if cmd.Val() == int64(1) {
			ended = append(ended, ids[i])
		}
	})
	return ended, err
}

func firstError(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}
