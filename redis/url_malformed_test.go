package redis_test

import (
	"context"
	"errors"
	"flag"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/mist-contrib/session/redis"
)

// The user and the password of the URLs that are refused.
const (
	secretUser     = "mallory"
	secretPassword = "hunter2"
)

func TestNewClientMalformed(t *testing.T) {
	for _, rawURL := range []string{
		"", "redis", "localhost", "localhost:6379", "mallory:hunter2@localhost:6379",
		"://mallory:hunter2@localhost", "//mallory:hunter2@localhost", " redis://mallory:hunter2@localhost",
		"http://mallory:hunter2@localhost", "redis+nope://mallory:hunter2@localhost", "http+cluster://mallory:hunter2@localhost",
		"unix+sentinel://mallory:hunter2@localhost/shop", "redis+sentinel+cluster://mallory:hunter2@localhost/shop",
		"redis://mallory:hunter2@localhost:port", "redis://mallory:hunter2@[::1",
		"redis://mallory:hunter2@local host", "redis://mallory:hunter2@localhost\x00", "redis://mallory:hunter2@localhost\n",
		"redis://mallory:hunter2%zz@localhost", "redis://mall ory:hunter2@localhost", "redis://mallory:hunter2@%zz",
		"redis://mallory:hunter2@localhost/%zz", "redis://mallory:hunter2@localhost?%zz", "redis://mallory:hunter2@localhost?a;b",
		"redis://mallory:hunter2@localhost/shop", "redis://mallory:hunter2@localhost/1/2", "redis://mallory:hunter2@localhost?db=x",
		"redis://mallory:hunter2@localhost?nope=1", "redis://mallory:hunter2@localhost?max_retries=x",
		"redis://mallory:hunter2@localhost?read_timeout=x", "redis://mallory:hunter2@localhost?pool_fifo=x",
		"redis://mallory:hunter2@localhost?skip_verify=true", "redis://mallory@localhost?sentinel_password=hunter2",
		"unix://mallory:hunter2@", "unix://mallory:hunter2@/run/redis.sock?nope=1", "unix://mallory:hunter2@a,b/run/redis.sock",
		"redis+sentinel://mallory:hunter2@/shop", "redis+sentinel://mallory:hunter2@localhost", "redis+sentinel://mallory:hunter2@localhost/",
		"redis+sentinel://mallory:hunter2@localhost/shop/x", "redis+sentinel://mallory:hunter2@localhost/shop/0/1",
		"redis+sentinel://mallory:hunter2@localhost,:/shop", "redis+sentinel://mallory:hunter2@localhost/shop?nope=1",
		"redis+sentinel://mallory@localhost/shop?nope=1&sentinel_password=hunter2", "redis://mallory:hunter2@localhost?master_name=",
		"redis+cluster://mallory:hunter2@", "redis+cluster://mallory:hunter2@/0", "redis+cluster://mallory:hunter2@localhost/1",
		"redis+cluster://mallory:hunter2@localhost,", "redis+cluster://mallory:hunter2@,localhost", "redis://mallory:hunter2@localhost,a/1",
		"redis+cluster://mallory:hunter2@localhost,a:", "redis+cluster://mallory:hunter2@localhost?nope=1",
		// A password that is not percent-encoded ends up anywhere.
		"redis://mallory:1/hunter2@localhost:6379/0", "redis://:1/hunter2@localhost", "redis://mallory:1?hunter2@localhost",
		"redis://mallory:1#hunter2@localhost", "redis://mallory:hunter2@localhost?addr=mallory:hunter2@localhost:6379",
		"redis+cluster://mallory:hunter2@:0:,localhost",
		// At these go-redis panics.
		"redis://localhost?pool_size=-1", "redis://localhost?pool_size=3000000000", "redis://localhost?min_idle_conns=3000000000",
		"redis://localhost?max_idle_conns=3000000000", "redis://localhost?max_active_conns=3000000000",
		"redis+sentinel://localhost/shop?pool_size=-1", "redis+cluster://localhost?pool_size=-1",
		"redis://localhost?pipeline_pool_size=3000000000", "redis+sentinel://localhost/shop?pipeline_pool_size=3000000000",
		"redis+cluster://localhost?pipeline_pool_size=3000000000", "redis://localhost?pipeline_read_buffer_size=-1",
		"redis://localhost?pool_size=1&pool_size=3000000000",
		"redis+cluster://mallory:hunter2@localhost?addr=a", "redis+cluster://mallory:hunter2@localhost?read_only=true",
	} {
		t.Run(rawURL, func(t *testing.T) {
			c, err := redis.NewClient(rawURL)
			if err == nil {
				_ = c.Close()
				t.Fatal("got a client, want an error")
			}
			if c != nil {
				t.Errorf("got a %T beside the error", c)
			}
			for _, secret := range []string{secretUser, secretPassword} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%s is in the error: %v", secret, err)
				}
			}
		})
	}
}

// What stands before an @ is a password, in every URL that anybody mistypes.
func FuzzNewClient(f *testing.F) {
	for _, seed := range [][2]string{
		{"redis://mallory:", "@localhost:6379/0"},
		{"rediss://:", "@[::1]?skip_verify=true"},
		{"unix://mallory:", "@/run/redis.sock?db=3"},
		{"redis+sentinel://mallory:", "@h1:1,h2,[::1]/shop/3?sentinel_username=a&sentinel_password=b"},
		{"redis+cluster://", "@h1,h2:7?addr=h3:8"},
		{"redis://", "?master_name=shop&addr=h2:7"},
		{"redis://mallory:", "@localhost?pool_size=50&read_timeout=3s&max_retries=-1"},
		{"redis+cluster://%6d:", "@h,[::1]:7/0?read_only=true"},
		{"", ""},
		{"redis+sentinel://h/", "?nope=1"},
	} {
		f.Add(seed[0], seed[1])
	}
	if flag.Lookup("test.fuzzworker").Value.String() == "true" { // a process of its own
		// go-redis resolves a name to find out what kind of address it is.
		net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.ErrUnsupported
		}}
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		rawURL := before + secretPassword + after
		if plain, err := url.QueryUnescape(rawURL); err != nil || strings.Contains(plain, "min_idle_conns") {
			return // would connect to wherever it says
		}
		c, err := redis.NewClient(rawURL)
		if err == nil {
			_ = c.Close()
			return
		}
		if c != nil {
			t.Errorf("got a %T beside the error", c)
		}
		_, authority, _ := strings.Cut(before, "://")
		if strings.Contains(after, "@") && authority != "" && strings.Contains(err.Error(), secretPassword) {
			t.Errorf("the password is in the error: %v", err)
		}
	})
}
