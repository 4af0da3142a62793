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
// A session is one hash with a time to live. Its key is an interface for operators:
// HGETALL shows the session. What DEL does not do is in docs/redis.md.
//
//	Prefix, id                       a session where nobody is logged in
//	Prefix, {abc}, defghijklmnop_x   a session with the id abcdefghijklmnop_x, of a user
//	Prefix, {abc}, defghijklmnop:    the index of that user
//	Prefix, {abc}, defghijklmnop:revoked:   when their sessions were revoked last
//
// The 16 characters abcdefghijklmnop are the home of the user: the first 96 bits of the
// SHA-256 of their name, in base64url. The id of each of their sessions begins with it.
// The first three characters are in braces, so all keys of a user are in one slot of a
// Cluster.
//
// Values have a field each, its name a colon and their key. The fields without a
// colon are the store's:
//
//	n  the version of this format, 2, and a nonce of this very session; while a login
//	   takes the session it begins with a t and the nonce of the login
//	h  SHA-256 of the newest secret
//	o  the secrets before it that may be good still
//	x  the last seven that are over, eight bytes of the hash of each
//	c  when it was made, unless that was its last login; t when it was refreshed last:
//	   milliseconds since 1970
//	r  when it was rotated last, if it was since its login
//	i  its idle timeout, a its absolute one: milliseconds
//	g  nonces of the last logins from this session that were refused
//
// and where somebody is logged in:
//
//	u  the user, l when they proved who they are, v the level, 1 to 255
//	p  1 if the client keeps its identifier when the browser ends
//	d0 and on  what the login said of the device, in pieces of 64 bytes
//
// and where the session is bound to a device:
//
//	b  when the newest secret ends, 13 digits, and then what stands for the device: its
//	   public key, mostly
//	q  the challenges that the device has answered lately: eight bytes of the hash of
//	   each, and until when it is refused, 13 digits
//
// An index is a sorted set with two members for each session: the rest of its id, which
// begins with an underscore, scored with minus the time of its last login (microseconds
// since 1970), and that time, scored with the time when the session ends (milliseconds).
// The index ends with the last session in it. The time of a revocation is a string,
// microseconds since 1970, and stays for two hours.
//
// No field holds what a client could send: a dump of Redis opens no session. A program
// that can write to Redis can make one. A record of another version is an error that is
// not [session.ErrNotFound], and stays as it is.
//
// # Scripts
//
// A session is loaded by one HGETALL. The token of a session that is bound to a device goes
// to a script in place of that, because the clock of the server decides whether the token
// has ended. Everything that writes to a session is one script, which checks in the same
// step that the session lives; so nothing brings a session back. What concerns a user is one script on the server that has all of their keys:
// their record, their index and the time of their last revocation are read and written
// in one step. Scripts name all their keys beforehand.
//
// A login is one script. It refuses the login if a revocation came first, sees to the
// limit, and stores the record with its values. From an anonymous session there is one
// script before it, on the server of that session: it takes the session, which from
// then on exists for nobody else, and returns its values. If the login is refused, a
// third script gives the session back. A login that ends other sessions asks first which
// they are. UserSessions reads the index, and then the records together.
// RemoveUserSessions notes the time and reads the index in one script, and ends the
// sessions in another. A server that does not know a script is sent it.
//
// When a reply does not come go-redis may send a command again. Loading, Refresh,
// Rotate, Bind, Prove, Remove, UserSessions, RemoveUserSessions, and a login of a
// session that is the user's already are made for that. Generate, a login that begins a session, and what
// writes values are never sent again, because the session may have been removed
// since, or the value changed: after an error it is not known whether it was
// carried out, and the caller decides whether to repeat it.
package redis
