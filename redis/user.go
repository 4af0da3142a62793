package redis

import (
	"cmp"
	"context"
	"slices"
	"strings"

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
	listed := goredis.NewMapStringStringCmd(ctx, "hgetall", st.userKey(user))
	if err := st.Client.Process(ctx, listed); err != nil {
		return nil, st.failed(ctx, "list", err)
	}
	notes := make([]note, 0, len(listed.Val()))
	for id, entry := range listed.Val() {
		if token.ValidID(id) {
			notes = append(notes, note{id, entry})
		}
	}
	infos, dead, err := st.describe(ctx, user, notes)
	if err != nil {
		return nil, err
	}
	if len(dead) > 0 {
		st.forget(ctx, user, dead)
	}
	slices.SortFunc(infos, func(a, b session.Info) int {
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), strings.Compare(a.ID, b.ID))
	})
	return infos, nil
}

// checkUser is what [session.Login.Check] says of a user.
func checkUser(user string) error {
	l := session.Login{User: user}
	return l.Check()
}

// describe loads what is stored of sessions but for their values, and tells which
// are not the user's, or not any more.
func (st *Store) describe(ctx context.Context, user string, notes []note) (infos []session.Info, dead []note, err error) {
	fields := [...]string{"n", "h", "c", "t", "i", "a", "r", "u", "l", "v", "p", "d0", "d1", "d2", "d3", "d4", "d5"}
	unreadable := false
	err = each(ctx, st, "list", len(notes), func(i int) *goredis.SliceCmd {
		args := []any{"hmget", st.prefix + notes[i].id}
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
			dead = append(dead, notes[i])
		case bound:
			r, err := parse(found)
			unreadable = unreadable || err != nil
			infos = append(infos, r.info(notes[i].id))
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
// once. So a login that was noted before is read: its session is ended if it is the
// user's already, and if not, it is left a fence that no login noted until then can
// pass, as are the sessions in except. One that comes to be noted later is refused.
// Entries that the index has lost are found in the slots, which are read last.
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
	notes, err := readNotes(list)
	if err != nil {
		return 0, err
	}
	ended, err1 := st.end(ctx, user, notes, revoked, except)
	lost, err2 := st.inSlots(ctx, user)
	for _, n := range notes {
		delete(lost, n.id)
	}
	notes = notes[:0]
	for id := range lost {
		notes = append(notes, note{id: id})
	}
	more, err3 := st.end(ctx, user, notes, revoked, except)
	return len(ended) + len(more), cmp.Or(err1, err2, err3)
}

// inSlots returns the ids in all indexes of slots.
func (st *Store) inSlots(ctx context.Context, user string) (ids map[string]bool, err error) {
	ids = make(map[string]bool)
	hash, tags := userHash(user), st.slotTags()
	err = each(ctx, st, "revoke", len(tags), func(i int) *goredis.StringSliceCmd {
		return goredis.NewStringSliceCmd(ctx, "zrange", st.slotKey(hash, tags[i]), 0, -1)
	}, func(_ int, cmd *goredis.StringSliceCmd) {
		for _, id := range cmd.Val() {
			ids[id] = true
		}
	})
	return ids, err
}

// Why a login under way has to fail, in the words of scripts/kill.lua.
const (
	revoked = "r"
	tooMany = "l"
)

// end ends sessions that are the user's, but those in except, and lets logins fail
// that were noted. It returns which sessions it has ended.
func (st *Store) end(ctx context.Context, user string, notes []note, why string, except []string) (ended []string, err error) {
	notes = slices.DeleteFunc(notes, func(n note) bool { return !token.ValidID(n.id) })
	words := func(i int) []any {
		return []any{user, notes[i].at() + why, slices.Contains(except, notes[i].id)}
	}
	if st.WaitReplicas > 0 {
		for i, n := range notes {
			reply, e := st.eval(ctx, &killScript, st.prefix+n.id, append(scriptArgs(3), words(i)...))
			if reply == int64(1) {
				ended = append(ended, n.id)
			}
			err = cmp.Or(err, e)
		}
		return ended, err
	}
	err = each(ctx, st, killScript.name, len(notes), func(i int) *goredis.Cmd {
		// Nobody could repair it in a pipeline when a server does not know its hash.
		return goredis.NewCmd(ctx, append([]any{"eval", killScript.source, 1, st.prefix + notes[i].id}, words(i)...)...)
	}, func(i int, cmd *goredis.Cmd) {
		if cmd.Val() == int64(1) {
			ended = append(ended, notes[i].id)
		}
	})
	return ended, err
}
