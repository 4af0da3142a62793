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

// UserSessions lists the sessions of a user, see [session.UserStore]: one script for
// their index, and then one round trip for all of their records, up to some thousands.
func (st *Store) UserSessions(ctx context.Context, user string) ([]session.Info, error) {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := checkUser(user); err != nil {
		return nil, err
	}
	home := homeOf(user)
	reply, err := st.eval(ctx, &listScript, st.index(home), scriptArgs(0))
	if err != nil {
		return nil, err
	}
	listed, ok := names(reply)
	if !ok {
		return nil, errRecord
	}
	infos, err := st.describe(ctx, user, home, listed)
	if err != nil {
		return nil, err
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

// names reads the names of sessions in a reply; ok is false where it is something
// else. What can be no name is left out.
func names(reply any) (names []string, ok bool) {
	list, ok := reply.([]any)
	for _, word := range list {
		name, isName := word.(string)
		if !isName {
			return nil, false
		}
		if strings.HasPrefix(name, string(homeEnd)) && token.ValidID(name) && len(name) <= token.MaxID-homeSize {
			names = append(names, name)
		}
	}
	return names, ok
}

// keys are the keys of the records of sessions.
func (st *Store) keys(home string, names []string) []string {
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = st.key(home + name)
	}
	return keys
}

// describe loads what is stored of sessions but for their values.
func (st *Store) describe(ctx context.Context, user, home string, names []string) (infos []session.Info, err error) {
	fields := [...]string{"n", "h", "c", "t", "i", "a", "r", "b", "u", "l", "v", "p", "d0", "d1", "d2", "d3", "d4", "d5"}
	unreadable := false
	err = each(ctx, st, "list", len(names), func(i int) *goredis.SliceCmd {
		return goredis.NewSliceCmd(ctx, appendWords([]any{"hmget", st.key(home + names[i])}, fields[:])...)
	}, func(i int, cmd *goredis.SliceCmd) {
		found := make(map[string]string, len(fields))
		for j, value := range cmd.Val() {
			if s, ok := value.(string); ok {
				found[fields[j]] = s
			}
		}
		if owner, bound := found["u"]; bound && owner == user {
			r, err := parse(found)
			unreadable = unreadable || err != nil
			infos = append(infos, r.info(home+names[i], r.ends))
		}
	})
	if err == nil && unreadable {
		err = errRecord
	}
	return infos, err
}

// RemoveUserSessions ends the sessions of a user, see [session.UserStore]: one script
// notes the time of the revocation and lists them, and one ends them. It ends 200 at
// once; of more sessions, several are sent together.
//
// It cannot miss one. A login is one script on the same server: one that came before is
// listed, one that comes later is refused. The number can be too low after an error,
// and where a command was sent again.
func (st *Store) RemoveUserSessions(ctx context.Context, user string, except ...string) (int, error) {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	if err := checkUser(user); err != nil {
		return 0, err
	}
	home := homeOf(user)
	reply, err := st.evalKeys(ctx, &revokeScript, []string{st.index(home), st.revoked(home)}, 2*session.BeganLimit.Milliseconds())
	if err != nil {
		return 0, err
	}
	listed, ok := names(reply)
	if !ok {
		return 0, errRecord
	}
	listed = slices.DeleteFunc(listed, func(name string) bool { return slices.Contains(except, home+name) })
	return st.end(ctx, user, home, listed)
}

// atOnce is how many sessions one script ends: it takes a server about a millisecond.
const atOnce = 200

// end ends those of the sessions that are the user's, and returns how many. It asks
// the server in any case. When it returns, the revocation is older than an answer takes
// to arrive: only so is a login whose check begins now known to be later, see enter.
func (st *Store) end(ctx context.Context, user, home string, names []string) (ended int, err error) {
	some := func(i int) []string { return names[i*atOnce : min(len(names), (i+1)*atOnce)] }
	count := func(reply any) {
		n, ok := reply.(int64)
		if !ok {
			err = errRecord
		}
		ended += int(n)
	}
	scripts := max(1, (len(names)+atOnce-1)/atOnce)
	if scripts == 1 || st.WaitReplicas > 0 {
		for i := range scripts {
			reply, failed := st.evalKeys(ctx, &endScript, st.ends(home, some(i)), appendWords([]any{user}, some(i))...)
			if failed != nil {
				return ended, failed
			}
			count(reply)
		}
		return ended, err
	}
	failed := each(ctx, st, endScript.name, scripts, func(i int) *goredis.Cmd {
		// Nobody could repair it in a pipeline when a server does not know its hash.
		args := append(evalArgs("eval", endScript.source, st.ends(home, some(i))), user)
		return goredis.NewCmd(ctx, appendWords(args, some(i))...)
	}, func(_ int, cmd *goredis.Cmd) { count(cmd.Val()) })
	return ended, cmp.Or(failed, err)
}

// ends are the keys of end.lua.
func (st *Store) ends(home string, names []string) []string {
	return append([]string{st.index(home)}, st.keys(home, names)...)
}
