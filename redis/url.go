package redis

import (
	"cmp"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// These errors do not quote the URL, which holds a password.
var (
	errURL  = errors.New("redis: NewClient: malformed URL")
	errSize = errors.New("redis: NewClient: the size of a pool or a buffer in the URL is out of range")
)

// NewClient returns a client with the options that a [Store] needs, for one server,
// Sentinel or Cluster. The client connects with its first command. The caller closes it.
//
//	redis://user:password@host:6379/0
//	unix://user:password@/path/to/redis.sock?db=0
//	redis+sentinel://user:password@host1:26379,host2:26379/name/0
//	redis+cluster://user:password@host1:6379,host2:6379
//
// The schemes with rediss in place of redis use TLS. User and password are for the servers
// that hold the data. The parameters sentinel_username and sentinel_password are for the
// Sentinels. NewClient also accepts the parameters of go-redis, such as ?pool_size=50. With
// ?addr=host2:6379, which names another host, a redis URL is for a Cluster. With
// ?master_name=name it is for Sentinel.
//
// Connecting, reading, writing and waiting for a connection each time out after one second,
// unless the URL says otherwise. The client repeats a failed command once; a Cluster's
// client repeats it three times, on other servers of the Cluster. It also reloads the layout
// of the Cluster every ten seconds. Deadlines of contexts always apply. With TLS every
// server must show a certificate for the host name that the client uses. NewClient fails if
// the URL asks for reading from replicas: a replica may not know yet that a session has
// ended. No error contains any part of the URL.
func NewClient(rawURL string) (goredis.UniversalClient, error) {
	p, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	if err := p.setDefaults(); err != nil {
		return nil, err
	}
	switch p.topology {
	case "sentinel":
		return p.sentinel()
	case "cluster":
		return p.cluster()
	}
	o, err := goredis.ParseURL(p.encode())
	if err != nil {
		return nil, urlError(err)
	}
	o.ContextTimeoutEnabled = true
	o.MaintNotificationsConfig = noMaintNotifications()
	o.DialerRetries, o.MaxRetries = 1, cmp.Or(o.MaxRetries, 1)
	return goredis.NewClient(o), nil
}

// A parsedURL is a URL of [NewClient].
type parsedURL struct {
	url      *url.URL // with the first host only, and a scheme of go-redis
	query    url.Values
	hosts    []string // the other hosts
	topology string   // empty: one server
}

// parseURL parses a URL. Unlike [url.Parse] it accepts several hosts, and a scheme of two parts.
func parseURL(rawURL string) (p parsedURL, err error) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return p, errURL
	}
	scheme, topology, plus := strings.Cut(scheme, "+")
	p.topology = topology
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	if strings.ContainsAny(tail, "@#") {
		return p, errURL // this may be part of an unescaped password, and no error may quote that
	}
	at := strings.LastIndexByte(authority, '@') + 1
	first, others, more := strings.Cut(authority[at:], ",")
	if p.url, err = url.Parse(scheme + "://" + authority[:at] + first + tail); err != nil {
		return p, errURL
	}
	if p.query, err = url.ParseQuery(p.url.RawQuery); err != nil {
		return p, errURL
	}
	if more {
		p.hosts = strings.Split(others, ",")
	}
	for _, host := range append(p.hosts, first) {
		if strings.HasSuffix(host, ":") || strings.ContainsAny(host, " \t") {
			return p, errURL
		}
	}
	switch p.topology {
	case "sentinel", "cluster":
		if p.url.Host == "" || scheme != "redis" && scheme != "rediss" {
			return p, errURL
		}
	case "":
		switch {
		case plus:
			return p, errURL
		case p.query.Has("master_name"):
			p.topology = "sentinel"
		case p.query.Has("addr") || more:
			p.topology = "cluster"
		}
	default:
		return p, errURL
	}
	return p, nil
}

// param returns a parameter. If the URL has it more than once, the last one counts, as for
// go-redis.
func (p *parsedURL) param(name string) string {
	if all := p.query[name]; len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// takeParam removes and returns a parameter that go-redis does not know.
func (p *parsedURL) takeParam(name string) string {
	v := p.query.Get(name)
	p.query.Del(name)
	return v
}

// encodeHosts returns the URL for go-redis with all hosts. A host without a port gets one.
func (p *parsedURL) encodeHosts(port string) string {
	withPort := func(host string) string {
		if _, _, err := net.SplitHostPort(host); err == nil {
			return host
		}
		return net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	p.url.Host = withPort(p.url.Host)
	for _, host := range p.hosts {
		p.query.Add("addr", withPort(host))
	}
	return p.encode()
}

// encode returns the URL for go-redis.
func (p *parsedURL) encode() string {
	p.url.RawQuery = p.query.Encode()
	return p.url.String()
}

// setDefaults sets parameters that the URL does not set. It refuses sizes that make go-redis
// panic.
func (p *parsedURL) setDefaults() error {
	for name, value := range map[string]string{
		"dial_timeout": "1s", "read_timeout": "1s", "write_timeout": "1s", "pool_timeout": "1s",
		"pipeline_pool_size": "-1", // pipelines use the connections of all other commands
	} {
		if p.param(name) == "" {
			p.query.Set(name, value)
		}
	}
	for name, least := range map[string]int{
		"pool_size": 0, "min_idle_conns": 0, "max_idle_conns": 0, "max_active_conns": 0,
		"pipeline_pool_size": -1 << 20, "pipeline_read_buffer_size": 0, "pipeline_write_buffer_size": 0,
	} {
		if n, err := strconv.Atoi(p.param(name)); err == nil && (n < least || n > 1<<20) {
			return errSize
		}
	}
	return nil
}

func (p *parsedURL) sentinel() (goredis.UniversalClient, error) {
	if name, db, _ := strings.Cut(strings.Trim(p.url.Path, "/"), "/"); name != "" && !p.query.Has("master_name") {
		p.query.Set("master_name", name)
		p.url.Path = "/" + db
	}
	user, password := p.takeParam("sentinel_username"), p.takeParam("sentinel_password")
	o, err := goredis.ParseFailoverURL(p.encodeHosts("26379"))
	switch {
	case err != nil:
		return nil, urlError(err)
	case o.MasterName == "":
		return nil, errors.New("redis: NewClient: the URL names no master")
	case o.ReplicaOnly || o.RouteByLatency || o.RouteRandomly:
		return nil, errReplicas
	}
	if p.url.User != nil {
		o.Username, o.Password = o.SentinelUsername, o.SentinelPassword
	}
	o.SentinelUsername, o.SentinelPassword = user, password
	if o.TLSConfig != nil {
		o.TLSConfig.ServerName = "" // not the first host's for all
	}
	o.ContextTimeoutEnabled = true
	o.DialerRetries, o.MaxRetries = cmp.Or(o.DialerRetries, 1), cmp.Or(o.MaxRetries, 1)
	return goredis.NewFailoverClient(o), nil
}

func (p *parsedURL) cluster() (goredis.UniversalClient, error) {
	if path := strings.Trim(p.url.Path, "/"); path != "" && path != "0" {
		return nil, errors.New("redis: NewClient: a Cluster has no database but 0")
	}
	o, err := goredis.ParseClusterURL(p.encodeHosts("6379"))
	switch {
	case err != nil:
		return nil, urlError(err)
	case o.ReadOnly || o.RouteByLatency || o.RouteRandomly:
		return nil, errReplicas
	}
	if o.TLSConfig != nil {
		o.TLSConfig.ServerName = "" // not the first host's for all
	}
	o.ContextTimeoutEnabled = true
	// Otherwise go-redis sends COMMAND, past the deadline of the call. It repeats that in every call
	// if the Redis user may not use COMMAND.
	o.DisableRoutingPolicies = true
	o.MaintNotificationsConfig = noMaintNotifications()
	o.ClusterStateReloadInterval = 10 * time.Second
	o.DialerRetries = cmp.Or(o.DialerRetries, 1)
	return goredis.NewClusterClient(o), nil
}

// noMaintNotifications stops go-redis from looking up in DNS what kind of address the server has.
func noMaintNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled, EndpointType: maintnotifications.EndpointTypeNone}
}

// urlError replaces an error of go-redis about a URL. It drops the text after the first colon:
// that quotes the URL, and any part of a mistyped URL may be the password.
func urlError(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return errURL
	}
	what, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "redis: "), ":")
	return errors.New("redis: NewClient: " + what)
}
