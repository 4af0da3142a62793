package sealed_test

import (
	"maps"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
	"github.com/mist-contrib/session/sessiontest"
)

// Why a session that its client keeps cannot hold to a rule.
const (
	lastWins = "Of two requests at the same time that write, the last response wins and the writes of the other are lost."
	copied   = "A copy of the seal of an anonymous session opens until its deadline, also after a logout or a login, because the server notes no end of it."
	anyID    = "The server does not know which ids are in use, so it can give the same one to two sessions."
	oldSeal  = "A rotation makes another seal and leaves the old one good until its deadline, because the server keeps no list of seals."
	another  = "Each rotation makes a seal of its own, because the server does not know those of others."
	eachOne  = "Each login with the same seal succeeds, because the server does not know that the seal was used before."
	room     = "The whole session has to fit into one cookie."
	byClient = "Only a request of its client can load a session by its id, and that request has brought the seal."
	refused  = "The client keeps the anonymous session and its old seals, each as it was; an id that is in use is not refused."
	noDevice = "A login does not keep UserAgent and Address: the cookie has little room, and nobody can list the sessions."
	noRevoke = "Without Revoke nothing ends a session of a user before its deadline."
	endsAll  = "With Revoke a login of the same user ends all seals from before, so requests that came with one cannot write any more."
)

// withoutServer are the rules that no session holds to that its client keeps.
func withoutServer() map[string]string {
	return map[string]string{
		// yours only
		"an old session object cannot write to a new session with the same id": copied,
		"a login cannot take the id of a live session":                         anyID,
		"a login ends every older token, without grace":                        copied,
		"of many logins with one token exactly one succeeds":                   eachOne,

		// dead stays dead
		"Remove ends the session": copied,
		"Remove may be repeated, and Remove of an unknown id is no error": copied,
		"no write after Remove":                                          copied,
		"no Refresh after Remove":                                        copied,
		"no rotation after Remove":                                       copied,
		"Remove kills every token of the session":                        copied,
		"Remove wins against concurrent writes, refreshes and rotations": copied,
		"Remove wins against an Update in progress":                      copied,
		"nothing brings an anonymous session back after its login":       copied,

		// nothing acknowledged is lost
		"concurrent writes of different keys all survive":                      lastWins,
		"writers of other keys survive Delete and Clear":                       lastWins,
		"Update loses no increment":                                            lastWins,
		"Pop gives a value to exactly one caller":                              lastWins,
		"Rotate gives a new token to the same session":                         lastWins,
		"writers survive rotation":                                             lastWins,
		"a write acknowledged during a login is in its session":                lastWins,
		"the old token is valid until the new one is used, then for the grace": oldSeal,
		"without grace the old token ends when the new one is used":            oldSeal,
		"Rotate with an old token returns the newest":                          another,
		"concurrent calls of Rotate return the same new token":                 another,
		"a rotation whose answer was lost logs nobody out":                     another,

		// same on every store
		"a long text comes back whole":                               room,
		"limits are the same and exact":                              room,
		"a login stores as many values as a session can hold":        room,
		"a session shows what was loaded plus its own writes":        lastWins,
		"Update and Pop act on what is stored":                       lastWins,
		"Generate leaves a live session alone":                       anyID,
		"of many calls of Generate with one id exactly one succeeds": anyID,
		"only a session that was made or opened with a token has it": byClient,
		"a refused login leaves the anonymous session as it was":     refused,
		"Describe reports the device of the login":                   noDevice,
		"an old token after its grace is reported as reused":         oldSeal,
		"a session holds 2 MiB and not a byte more":                  room,
		"every write counts towards the size":                        room,
		"concurrent writers cannot exceed the size together":         room,
		"a login cannot exceed the size":                             room,
	}
}

// withoutRevoke are the rules that sessions of users hold to only with Revoke.
func withoutRevoke() map[string]string {
	return map[string]string{
		"a login of the same user keeps the session":                    noRevoke,
		"a login of the same user ends every older token":               noRevoke,
		"a user name with special characters reaches no other user":     noRevoke,
		"Remove ends the session of a user, and nothing brings it back": noRevoke,
		"RemoveUserSessions ends all sessions of a user, and no other":  noRevoke,
		"nothing brings a session back after RemoveUserSessions":        noRevoke,
		"a login whose check began before a revocation is refused":      noRevoke,
		"RemoveUserSessions wins against logins in progress":            noRevoke,
		"Reauthentication keeps the session and its settings":           noRevoke,
	}
}

func TestConformance(t *testing.T) {
	const idle, absolute = 30 * time.Minute, 12 * time.Hour
	h := sessiontest.Harness{
		New: func(*testing.T) session.Store {
			return sessiontest.Clients(&sealed.Store{Keys: [][]byte{namedKey("a")}, IdleTimeout: idle, AbsoluteTimeout: absolute})
		},
		Idle: idle, Absolute: absolute, Capabilities: sessiontest.AllCapabilities &^ (sessiontest.UserLister | sessiontest.DeviceStore),
	}
	h.Without = withoutServer()
	maps.Copy(h.Without, withoutRevoke())
	t.Run("without Revoke", func(t *testing.T) { sessiontest.TestStore(t, h) })

	h.New = func(*testing.T) session.Store {
		st := revocable()
		st.IdleTimeout, st.AbsoluteTimeout = idle, absolute
		return sessiontest.Clients(st)
	}
	h.Without = withoutServer()
	h.Without["requests that began before a login of the same user can write"] = endsAll
	t.Run("with Revoke", func(t *testing.T) { sessiontest.TestStore(t, h) })
}
