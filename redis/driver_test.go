package redis_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session/config"
	"github.com/mist-contrib/session/redis"
)

// configured makes the store that a configuration names. Nothing is connected to.
func configured(t *testing.T, c config.Config) (*redis.Store, io.Closer, error) {
	t.Helper()
	m, closer, err := c.Manager()
	if err != nil {
		return nil, nil, err
	}
	st, ok := m.Store.(*redis.Store)
	if !ok {
		t.Fatalf("got a %T, want a Store of this package", m.Store)
	}
	return st, closer, nil
}

// A program that imports this package can name it in its configuration.
func TestDriver(t *testing.T) {
	const password = "p@ss/w%rd"
	for url, topology := range map[string]string{
		"redis://ada@localhost:6379":                    "*redis.Client", // the example of docs/configuration.md
		"redis://ada@host/3":                            "*redis.Client",
		"rediss://ada@host:6380":                        "*redis.Client",
		"REDIS://ada@host":                              "*redis.Client",
		"unix://ada@/run/redis.sock?db=3":               "*redis.Client",
		"redis+sentinel://ada@s1,s2:26380/mymaster":     "*redis.Client",
		"rediss+sentinel://ada@s1,s2/mymaster/3":        "*redis.Client",
		"redis+cluster://ada@n1,n2:6380":                "*redis.ClusterClient",
		"rediss+cluster://ada@n1,n2?read_timeout=250ms": "*redis.ClusterClient",
	} {
		st, closer, err := configured(t, config.Config{
			Store: config.NewSecret(url), StorePassword: config.NewSecret(password), Prefix: "shop:",
			IdleTimeout: config.Duration{Duration: time.Minute}, AbsoluteTimeout: config.Duration{Duration: time.Hour},
			OpTimeout: config.Duration{Duration: 3 * time.Second}, WaitReplicas: 2,
		})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if got := fmt.Sprintf("%T", st.Client); got != topology {
			t.Errorf("%s: got a %s, want a %s", url, got, topology)
		}
		if st.Prefix != "shop:" || st.IdleTimeout != time.Minute || st.AbsoluteTimeout != time.Hour {
			t.Errorf("%s: the store has other options: %q, %v, %v", url, st.Prefix, st.IdleTimeout, st.AbsoluteTimeout)
		}
		if st.OpTimeout != 3*time.Second || st.WaitReplicas != 2 {
			t.Errorf("%s: the store has other options: %v, %d", url, st.OpTimeout, st.WaitReplicas)
		}
		user, pass, read := "", "", time.Duration(0)
		switch c := st.Client.(type) {
		case *goredis.Client:
			user, pass, read = c.Options().Username, c.Options().Password, c.Options().ReadTimeout
		case *goredis.ClusterClient:
			user, pass, read = c.Options().Username, c.Options().Password, c.Options().ReadTimeout
		}
		if user != "ada" || pass != password {
			t.Errorf("%s: the client has another user or password", url)
		}
		wantRead := time.Second // what NewClient sets, unless the URL says otherwise
		if strings.Contains(url, "250ms") {
			wantRead = 250 * time.Millisecond
		}
		if read != wantRead {
			t.Errorf("%s: got a read timeout of %v, want %v", url, read, wantRead)
		}
		if err := closer.Close(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		if err := st.Client.Process(t.Context(), goredis.NewStatusCmd(t.Context(), "ping")); !errors.Is(err, goredis.ErrClosed) {
			t.Errorf("%s: got %v, want a client that was closed", url, err)
		}
	}
}

// A malformed URL is an error that names the variable and contains nothing of the URL.
func TestDriverMistakes(t *testing.T) {
	const password = "s3cr3t-p4ss"
	for _, url := range []string{
		"redis:" + password,
		"redis://:" + password + "@host:port",
		"redis://:" + password + "@host/" + password,
		"redis://:" + password + "/x@host",
		"redis://:" + password + "%zz@host",
		"redis://:" + password + "@host/0?" + password + "=1",
		"redis://:" + password + "@host/0?read_timeout=" + password,
		"redis://:" + password + "@host/0?pool_size=-1",
		"redis+sentinel://:" + password + "@s1,s2",
		"redis+cluster://:" + password + "@n1/3",
		"redis+cluster://:" + password + "@n1?read_only=true",
		"redis+sentinel://",
	} {
		_, _, err := configured(t, config.Config{Store: config.NewSecret(url)})
		if err == nil {
			t.Errorf("%s: got no error", url)
			continue
		}
		if !strings.Contains(err.Error(), "SESSION_STORE") || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v does not name the variable, or contains the password", url, err)
		}
	}
}
