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

// UserSessions lists the sessions of a user, see [session.UserStore]. One script reads the
// index. Then one round trip loads the records, up to 4096 of them.
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

// checkUser returns the error of [session.Login.Check] for a user.
func checkUser(user string) error {
	l := session.Login{User: user}
	return l.Check()
}

// names reads the names of sessions in a reply. It skips invalid names. ok is false if the
// reply is not a list of strings.
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

// keys returns the keys of the sessions' records.
func (st *Store) keys(home string, names []string) []string {
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = st.key(home + name)
	}
	return keys
}

// describe loads the records of sessions, without their values.
func (st *Store) describe(ctx context.Context, user, home string, names []string) (infos []session.Info, err error) {
	fields := [...]string{"n", "h", "c", "t", "i", "a", "r", "b", "u", "l", "v", "p", "d0", "d1", "d2", "d3", "d4", "d5"}
	unreadable := false
	err = pipeline(ctx, st, "list", len(names), func(i int) *goredis.SliceCmd {
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

// RemoveUserSessions ends the sessions of a user, see [session.UserStore]. One script
// stores the time of the revocation and lists the sessions. Another script ends up to 200
// of them; for more sessions the store sends several of these scripts together.
//
// It misses no session, because a login is one script on the same server. An earlier
// login is listed, and a later login is refused. The returned number can be too low after
// an error, or after go-redis has sent a command again.
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
	return st.endSessions(ctx, user, home, listed)
}

// sessionsPerScript is how many sessions one script ends. That takes a server about a millisecond.
const sessionsPerScript = 200

// endSessions ends the sessions that belong to the user, and returns how many. It always sends at
// least one script, so that a round trip passes after the revocation. Only then can runLogin
// tell that a password check which begins now is later than the revocation.
func (st *Store) endSessions(ctx context.Context, user, home string, names []string) (ended int, err error) {
	some := func(i int) []string { return names[i*sessionsPerScript : min(len(names), (i+1)*sessionsPerScript)] }
	count := func(reply any) {
		n, ok := reply.(int64)
		if !ok {
			err = errRecord
		}
		ended += int(n)
	}
	scripts := max(1, (len(names)+sessionsPerScript-1)/sessionsPerScript)
	if scripts == 1 || st.WaitReplicas > 0 {
		for i := range scripts {
			reply, failed := st.evalKeys(ctx, &endScript, st.endKeys(home, some(i)), appendWords([]any{user}, some(i))...)
			if failed != nil {
				return ended, failed
			}
			count(reply)
		}
		return ended, err
	}
	failed := pipeline(ctx, st, endScript.name, scripts, func(i int) *goredis.Cmd {
		// EVALSHA is not used in pipelines, because a NOSCRIPT reply in the middle of one cannot be retried.
		args := append(evalArgs("eval", endScript.source, st.endKeys(home, some(i))), user)
		return goredis.NewCmd(ctx, appendWords(args, some(i))...)
	}, func(_ int, cmd *goredis.Cmd) { count(cmd.Val()) })
	return ended, cmp.Or(failed, err)
}

// endKeys returns the keys for end.lua.
func (st *Store) endKeys(home string, names []string) []string {
	return append([]string{st.index(home)}, st.keys(home, names)...)
}
