// Package redis keeps sessions in Redis or Valkey, for applications of more than
// one machine. It behaves as package memory does, to the last edge case.
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
// Any other client of go-redis will do, with these options, which [NewClient]
// sets; without the first a call can last as long as the client's own timeouts
// and repetitions, with the defaults of go-redis ten seconds and more:
//
//	ContextTimeoutEnabled: true,        // deadlines of contexts hold for the network, too
//	DialTimeout:           time.Second, // also ReadTimeout, WriteTimeout, PoolTimeout
//	DialerRetries:         1,
//	MaxRetries:            1,           // not for a ClusterClient, whose MaxRedirects do both
//
// For a ClusterClient also DisableRoutingPolicies: without it go-redis asks the
// servers for their COMMANDs, past the deadline of a call. It must not read from
// replicas (ReadOnly, RouteByLatency, RouteRandomly). An AutoPipeliner keeps no
// deadlines.
//
// # Servers
//
// Redis 6.2, 7 and 8 and Valkey 8 work unchanged. Three settings matter:
//
//   - maxmemory-policy noeviction. Any other policy ends sessions that are alive
//     when memory runs out; with noeviction the store answers [session.ErrFull].
//   - hash-max-listpack-value 512 (hash-max-ziplist-value before Redis 7). A
//     value over this size, 64 bytes by default, makes its session take more than
//     twice the memory.
//   - Clocks that NTP keeps. Time is that of the server that has the session; a
//     failover to a server whose clock is off moves deadlines by as much.
//
// [Store.CheckServer] asks the server for the first of these, and more, at start-up.
//
// After a crash sessions are as old as what was persisted, so a logout may be
// undone: use appendfsync always, or no persistence at all. What a failover loses,
// and [Store].WaitReplicas against it, and how much memory to plan: see
// docs/redis.md in the repository.
//
// # Keys
//
// A session is one hash, under Prefix and its id, with a time to live. The key is
// an interface for operators: HGETALL shows it, DEL and UNLINK end the session.
// Values have a field each, its name a colon and their key. The fields without a
// colon are the store's:
//
//	n  the version of this format, 1, and a nonce of this very session
//	h  SHA-256 of the newest secret
//	o  the secrets before it that may be good still
//	x  the last seven that are over, eight bytes of the hash of each
//	c  when it was made, t when it was refreshed last: milliseconds since 1970
//	r  when it was rotated last, if it was since its login
//	i  its idle timeout, a its absolute one: milliseconds
//	f  logins that were noted until then are refused: microseconds,
//	   and whether by a revocation or a limit; until the next login
//
// and where somebody is logged in:
//
//	u  the user, l when they proved who they are, v the level, 1 to 255
//	p  1 if the client keeps its identifier when the browser ends
//	d0 and on  what the login said of the device, in pieces of 64 bytes
//
// Every user has an index, a hash under Prefix, "user:", half a SHA-256 of their
// name in base64url, and a colon: a field for each session that may be theirs, and
// one for the time of the last revocation. For each slot of a Cluster in which the
// user has sessions, elsewhere for all of them, there is a sorted set besides,
// "user:{tag}", the same hash and a colon. The first is written before a session
// becomes the user's, the other in the same step; what they list beyond that does no
// harm. They do not end before the last session that they list.
//
// No field holds what a client could send: a dump of Redis opens no session. Who
// can write to Redis can.
//
// # Scripts
//
// A session is loaded by one HGETALL. Everything that writes to it is one script on
// that one key, which checks in the same step that the session lives; so nothing
// brings a session back, and it runs on a Cluster. A login is two: one notes it in
// the index of the user, refuses it if a revocation came first, and sees to the
// limit; the other binds the session, and notes it in the index of its slot. A
// revocation notes its time and reads the index in one step, ends what is listed
// there, or lets the login under way fail, and then ends what is listed in the
// slots; in 16384 of them, in a Cluster. A server that does not know a script is
// sent it.
//
// When a reply does not come go-redis may send a command again. Loading, Refresh,
// Rotate, Remove, and all that is about users, are made for that. Generate and what
// writes values are never sent again, because the session may have been removed
// since, or the value changed: after an error it is not known whether it was
// carried out, and the caller decides whether to repeat it.
package redis
