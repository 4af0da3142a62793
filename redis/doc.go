// Package redis keeps sessions in Redis or Valkey, for applications on more than
// one machine. It behaves like package memory, even in edge cases, but it
// cannot tell an expired session from an unknown one.
//
// One server, Sentinel, or a Cluster:
//
//	client, err := redis.NewClient("redis://user:password@host:6379/0")
//	client, err := redis.NewClient("redis+sentinel://user:password@sentinel1,sentinel2,sentinel3/mymaster")
//	client, err := redis.NewClient("redis+cluster://user:password@node1,node2,node3")
//
//	m := &session.Manager{
//		Store:      &redis.Store{Client: client},
//		Propagator: &cookie.Propagator{},
//	}
//
// Any other client of go-redis works too, if it has the following options, which
// [NewClient] sets. Without the first option a call can last as long as the client's own
// timeouts and retries: more than ten seconds with the defaults of go-redis.
//
//	ContextTimeoutEnabled: true,        // deadlines of contexts also apply to the network
//	DialTimeout:           time.Second, // also ReadTimeout, WriteTimeout, PoolTimeout
//	DialerRetries:         1,
//	MaxRetries:            1,           // not for a ClusterClient: its MaxRedirects covers retries
//	PipelinePoolSize:      -1,          // pipelines use the connections of PoolSize
//
// A ClusterClient also needs DisableRoutingPolicies: without it go-redis sends COMMAND to
// the servers, past the deadline of a call. The client must not read from replicas
// (ReadOnly, RouteByLatency, RouteRandomly). Do not use an AutoPipeliner: it ignores
// deadlines.
//
// # Servers
//
// Redis 6.2, 7 and 8 and Valkey 8 work unchanged. Three settings matter:
//
//   - Set maxmemory-policy to noeviction. Any other policy deletes live sessions when
//     memory runs out. With noeviction the store fails with [session.ErrFull].
//   - Set hash-max-listpack-value to 512 (hash-max-ziplist-value before Redis 7). A
//     value over this size, 64 bytes by default, more than doubles the memory of its
//     session.
//   - Synchronize the servers' clocks with NTP. The store uses the clock of the server
//     that holds the session. A failover to a server with a wrong clock moves deadlines
//     by the same amount.
//
// At start-up, [Store.CheckServer] checks the first of these and more.
//
// After a crash Redis restores the state that it last persisted, which may undo a logout.
// Use appendfsync always, or no persistence at all. docs/redis.md in the repository
// describes how much memory to plan, what a failover loses, and how [Store].WaitReplicas
// prevents that.
//
// # Keys
//
// A session is one hash with a time to live. Operators may use its key: HGETALL shows the
// session. docs/redis.md says what DEL does not do.
//
//	Prefix, id                       an anonymous session
//	Prefix, {abc}, defghijklmnop_x   a session with the id abcdefghijklmnop_x, of a user
//	Prefix, {abc}, defghijklmnop:    the index of that user
//	Prefix, {abc}, defghijklmnop:revoked:   when the user's sessions were last revoked
//
// The 16 characters abcdefghijklmnop are the home of the user: the first 96 bits of the
// SHA-256 of the user's name, in base64url. The ids of all sessions of the user begin with
// it. The first three characters are in braces, so all keys of a user are in one slot of
// a Cluster.
//
// Each value has a field, named with a colon and the value's key. The store uses the
// fields without a colon:
//
//	n  the version of this format, 2, and a nonce of this session; while a login takes
//	   the session, a t and the nonce of the login precede it
//	h  SHA-256 of the newest secret
//	o  earlier secrets, some of which may still be valid
//	x  the last seven secrets that are no longer valid: eight bytes of each hash
//	c  when the session was created, unless its last login created it (milliseconds since 1970)
//	t  when it was last refreshed (milliseconds since 1970)
//	r  when it was last rotated, if that was after its login (milliseconds since 1970)
//	i  its idle timeout, and a its absolute timeout (milliseconds)
//	g  nonces of the last logins from this session that were refused
//	s  the number of values, and their size in bytes
//
// A session with a user also has:
//
//	u  the user
//	l  when the user last authenticated (milliseconds since 1970)
//	v  the level, 1 to 255
//	p  1 if the client keeps its identifier when the browser ends
//	d0 and on  the description of the device at the login, in pieces of 64 bytes
//
// A session that is bound to a device also has:
//
//	b  when the newest secret ends, 13 digits, and then the device: usually its public key
//	q  the challenges that the device has answered recently: eight bytes of each hash, and
//	   the time until which the challenge is refused, 13 digits
//
// An index is a sorted set with two members for each session. One is the rest of the
// session's id, which begins with an underscore. Its score is minus the time of the last
// login (microseconds since 1970). The other is that time, scored with the time when the
// session ends (milliseconds). The index expires with its last session. The time of a
// revocation is a string, microseconds since 1970. It is kept for two hours.
//
// No field holds a token, so a dump of Redis opens no session. A program that can write
// to Redis can create a session. For a record of another version the store returns an
// error other than [session.ErrNotFound], and leaves the record unchanged.
//
// # Scripts
//
// One HGETALL loads a session. A token that is bound to a device goes to a script instead,
// because the server's clock decides whether the token has ended. Every write to a session
// is one script. It checks in the same step that the session exists, so no write brings a
// session back. An operation on a user is also one script, on the server that holds all
// keys of the user. It reads and writes the record, the index and the time of the last
// revocation in one step. Scripts declare all their keys.
//
// A login is one script. It refuses the login if a revocation came first, enforces the
// limit, and stores the record with its values. A login from an anonymous session runs
// another script first, on the server of that session. That script returns the values and
// hides the session from all other calls. If the login is refused, a third script gives
// the session back. A login that must end other sessions first asks for their names.
// UserSessions reads the index, and then all records together. RemoveUserSessions stores
// the time and reads the index in one script, and ends the sessions in another. If a
// server does not know a script, the store sends its source.
//
// If a reply does not arrive, go-redis may send a command again. These operations tolerate
// that: loading, Refresh, Rotate, Bind, Prove, Remove, UserSessions, RemoveUserSessions,
// and a login that continues a session of the same user. Other operations are never sent
// again: Generate, a login that begins a session, and writes of values. In the meantime
// the session may have been removed, or the value changed. After an error such an
// operation may or may not have been applied, and the caller decides whether to repeat it.
package redis
