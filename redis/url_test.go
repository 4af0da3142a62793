package redis_test

import (
	"crypto/tls"
	"reflect"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session/redis"
)

// A target is what a URL says of where to go, and as whom.
type target struct {
	addrs    string // with spaces between; of a master behind Sentinel unknown
	user     string
	password string
	db       int
	tls      string // the name that the certificate must have
	insecure bool
}

// tuning is how a client deals with a slow network.
type tuning struct {
	byContext               bool
	dial, read, write, pool time.Duration
	retries, dials, size    int
	pipelines               int           // connections for pipelines alone; negative: none
	reload                  time.Duration // of the shape of a Cluster
}

// look returns what became of a URL.
func look(t *testing.T, url string) (kind string, to target, how tuning) {
	t.Helper()
	switch c := newClient(t, url).(type) {
	case *goredis.Client:
		o := c.Options()
		kind = o.Network
		if o.Addr == "FailoverClient" {
			kind, o.Addr = "sentinel", ""
		}
		to = target{addrs: o.Addr, user: o.Username, password: o.Password, db: o.DB}
		to.tls, to.insecure = tlsOf(o.TLSConfig)
		how = tuning{
			o.ContextTimeoutEnabled, o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout,
			o.MaxRetries, o.DialerRetries, o.PoolSize, o.PipelinePoolSize, 0,
		}
	case *goredis.ClusterClient:
		o := c.Options()
		kind, to = "cluster", target{addrs: strings.Join(o.Addrs, " "), user: o.Username, password: o.Password}
		to.tls, to.insecure = tlsOf(o.TLSConfig)
		how = tuning{
			o.ContextTimeoutEnabled, o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout,
			o.MaxRetries, o.DialerRetries, o.PoolSize, o.PipelinePoolSize, o.ClusterStateReloadInterval,
		}
	default:
		t.Fatalf("%s: got a %T", url, c)
	}
	return kind, to, how
}

func tlsOf(c *tls.Config) (name string, insecure bool) {
	switch {
	case c == nil:
		return "", false
	case c.ServerName == "":
		name = "of each"
	default:
		name = c.ServerName
	}
	return name, c.InsecureSkipVerify
}

func TestNewClientTarget(t *testing.T) {
	const odd, escaped = `p@s:s/w?o#r%d,ö`, `p%40s%3As%2Fw%3Fo%23r%25d%2C%C3%B6`
	for _, c := range []struct {
		url, kind string
		want      target
	}{
		{"redis://", "tcp", target{addrs: "localhost:6379"}},
		{"redis://localhost", "tcp", target{addrs: "localhost:6379"}},
		{"redis://localhost:7000/3", "tcp", target{addrs: "localhost:7000", db: 3}},
		{"redis://localhost?db=3", "tcp", target{addrs: "localhost:6379", db: 3}},
		{"redis://:pw@localhost", "tcp", target{addrs: "localhost:6379", password: "pw"}},
		{"redis://ada:pw@localhost/", "tcp", target{addrs: "localhost:6379", user: "ada", password: "pw"}},
		{"redis://ada:" + escaped + "@localhost", "tcp", target{addrs: "localhost:6379", user: "ada", password: odd}},
		{"redis://a%40b:pw@localhost", "tcp", target{addrs: "localhost:6379", user: "a@b", password: "pw"}},
		{"redis://ada:p@w@localhost", "tcp", target{addrs: "localhost:6379", user: "ada", password: "p@w"}},
		{"redis://[::1]", "tcp", target{addrs: "[::1]:6379"}},
		{"redis://ada:pw@[fe80::1]:7000/2", "tcp", target{addrs: "[fe80::1]:7000", user: "ada", password: "pw", db: 2}},
		{"rediss://localhost", "tcp", target{addrs: "localhost:6379", tls: "localhost"}},
		{"rediss://[::1]:7000", "tcp", target{addrs: "[::1]:7000", tls: "::1"}},
		{"rediss://localhost?skip_verify=true", "tcp", target{addrs: "localhost:6379", tls: "localhost", insecure: true}},
		{"rediss://localhost?skip_verify=false", "tcp", target{addrs: "localhost:6379", tls: "localhost"}},

		{"unix:///run/redis.sock", "unix", target{addrs: "/run/redis.sock"}},
		{"unix://ada:" + escaped + "@/run/a,b.sock?db=3", "unix", target{addrs: "/run/a,b.sock", user: "ada", password: odd, db: 3}},

		{"redis+sentinel://h1,h2:7,[::1]/shop/3", "sentinel", target{db: 3}},
		{"redis+sentinel://h1/shop", "sentinel", target{}},
		{"redis+sentinel://ada:" + escaped + "@h1,h2/shop/0", "sentinel", target{user: "ada", password: odd}},
		{"redis+sentinel://ada:pw@h1/shop?sentinel_username=eve&sentinel_password=no", "sentinel", target{user: "ada", password: "pw"}},
		{"redis+sentinel://h1/shop?sentinel_password=no", "sentinel", target{}},
		{"redis+sentinel://h1/2?master_name=shop", "sentinel", target{db: 2}},
		{"redis://ada:pw@h1/2?master_name=shop&addr=h2:7", "sentinel", target{user: "ada", password: "pw", db: 2}},
		{"redis://h1?master_name=shop&username=ada&password=pw", "sentinel", target{user: "ada", password: "pw"}},
		{"redis://h1,h2?master_name=shop", "sentinel", target{}},
		{"rediss+sentinel://h1,h2/shop", "sentinel", target{tls: "of each"}},
		{"rediss://h1?master_name=shop&skip_verify=true", "sentinel", target{tls: "of each", insecure: true}},

		{"redis+cluster://h1", "cluster", target{addrs: "h1:6379"}},
		{"redis+cluster://h1,h2:7,[::1],[::2]:8", "cluster", target{addrs: "h1:6379 h2:7 [::1]:6379 [::2]:8"}},
		{"redis+cluster://[::1]:7,h/0", "cluster", target{addrs: "[::1]:7 h:6379"}},
		{"redis+cluster://ada:" + escaped + "@h1,h2/", "cluster", target{addrs: "h1:6379 h2:6379", user: "ada", password: odd}},
		{"redis+cluster://ada:p@w,x@h1,h2", "cluster", target{addrs: "h1:6379 h2:6379", user: "ada", password: "p@w,x"}},
		{"redis+cluster://:pw@h1?addr=h2:7&addr=h3:8", "cluster", target{addrs: "h1:6379 h2:7 h3:8", password: "pw"}},
		{"redis://ada:pw@h1:7?addr=h2:7&addr=[::1]:7", "cluster", target{addrs: "h1:7 h2:7 [::1]:7", user: "ada", password: "pw"}},
		{"redis://h1,h2", "cluster", target{addrs: "h1:6379 h2:6379"}},
		{"rediss+cluster://h1,h2", "cluster", target{addrs: "h1:6379 h2:6379", tls: "of each"}},
	} {
		t.Run(c.url, func(t *testing.T) {
			if kind, got, _ := look(t, c.url); kind != c.kind || got != c.want {
				t.Errorf("got %s %+v, want %s %+v", kind, got, c.kind, c.want)
			}
		})
	}
}

// What the URL leaves open is as documented, and what it says counts.
func TestNewClientTuning(t *testing.T) {
	const all = "dial_timeout=2s&read_timeout=3s&write_timeout=4s&pool_timeout=5&max_retries=6&pool_size=7&pipeline_pool_size=8"
	const dials, none = "&dialer_retries=8", "read_timeout=0&write_timeout=-1s&max_retries=-1"
	var (
		bySecond = tuning{byContext: true, dial: time.Second, read: time.Second, write: time.Second, pool: time.Second, dials: 1, pipelines: -1}
		byURL    = tuning{
			byContext: true, dial: 2 * time.Second, read: 3 * time.Second, write: 4 * time.Second, pool: 5 * time.Second,
			retries: 6, size: 7, dials: 1, pipelines: 8,
		}
		unbounded = tuning{byContext: true, dial: time.Second, pool: time.Second, dials: 1, pipelines: -1}
	)
	for _, c := range []struct {
		url     string
		retries int           // by default
		reload  time.Duration // of a Cluster
		dials   string        // what go-redis knows for this kind of client only
	}{
		{"redis://localhost", 1, 0, ""},
		{"rediss://localhost", 1, 0, ""},
		{"unix:///run/redis.sock", 1, 0, ""},
		{"redis+sentinel://h/shop", 1, 0, dials},
		{"redis+cluster://h", -1, 10 * time.Second, dials}, // redirects repeat
	} {
		for query, want := range map[string]tuning{"": bySecond, all + c.dials: byURL, none: unbounded} {
			t.Run(c.url+"?"+query, func(t *testing.T) {
				want.reload = c.reload
				if want.retries == 0 && query == "" {
					want.retries = c.retries
				}
				if strings.Contains(query, dials) {
					want.dials = 8
				}
				if query == none && c.reload != 0 {
					want.retries = -1
				}
				_, _, got := look(t, c.url+"?"+query)
				if want.size == 0 {
					got.size = 0 // depends on the machine
				}
				if got != want {
					t.Errorf("got %+v\nwant %+v", got, want)
				}
			})
		}
	}
}

// Whether deadlines of contexts hold is not for the URL to say.
func TestNewClientKeepsDeadlines(t *testing.T) {
	_, _, how := look(t, "redis+sentinel://h/shop?context_timeout_enabled=false")
	if !how.byContext {
		t.Error("the URL has switched the deadlines of contexts off")
	}
}

func TestNewClientOtherOptions(t *testing.T) {
	c, ok := newClient(t, "redis://localhost?client_name=shop&protocol=2&conn_max_idle_time=1m&max_active_conns=9").(*goredis.Client)
	if !ok {
		t.Fatalf("got a %T", c)
	}
	o := c.Options()
	got := []any{o.ClientName, o.Protocol, o.ConnMaxIdleTime, o.MaxActiveConns}
	if want := []any{"shop", 2, time.Minute, 9}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNewClientRefusesReplicas(t *testing.T) {
	for url, options := range map[string][]string{
		"redis+cluster://h":       {"read_only", "route_by_latency", "route_randomly"},
		"redis://h?addr=h2:7":     {"read_only", "route_by_latency", "route_randomly"},
		"redis+sentinel://h/shop": {"replica_only", "route_by_latency", "route_randomly"},
		"redis://h?master_name=m": {"replica_only", "route_by_latency", "route_randomly"},
	} {
		for _, option := range options {
			sep := "?"
			if strings.Contains(url, "?") {
				sep = "&"
			}
			if c, err := redis.NewClient(url + sep + option + "=true"); err == nil {
				t.Errorf("%s with %s: got a client, want an error", url, option)
				_ = c.Close()
			}
			newClient(t, url+sep+option+"=false")
		}
	}
}
