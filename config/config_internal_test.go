package config

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sealed"
)

// Test data: base64 of 32 bytes each, and a password.
const (
	key1     = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	key2     = "_-7dzLuqmYh3ZlVEMyIRAA8eLTxLWml4h5altMPS4fA"
	password = "s3cr3t-p4ss"
)

// other is a store that a test registers; its opens are kept.
var opened []Options

//nolint:gochecknoinits // as a store does
func init() {
	Register(func(o Options) (session.Store, io.Closer, error) {
		if strings.Contains(o.URL, "broken") {
			return nil, nil, errors.New("other: malformed URL")
		}
		opened = append(opened, o)
		return &memory.Store{IdleTimeout: o.IdleTimeout, AbsoluteTimeout: o.AbsoluteTimeout}, nil, nil
	}, "other", "redis+other")
}

func yes() *bool { v := true; return &v }

// everything sets each variable but those for other stores and for bound sessions, which are
// not partitioned, and want is what that means.
var everything = map[string]string{
	"SESSION_STORE": "other://user@host1:1,host2:2/x", "SESSION_STORE_PASSWORD": password, "SESSION_PREFIX": "shop:",
	"SESSION_IDLE_TIMEOUT": "1h30m", "SESSION_ABSOLUTE_TIMEOUT": "48h", "SESSION_OP_TIMEOUT": "3s",
	"SESSION_COOKIE_NAME": "__Secure-sid", "SESSION_COOKIE_PATH": "/app", "SESSION_COOKIE_DOMAIN": "example.com",
	"SESSION_COOKIE_SECURE": "true", "SESSION_COOKIE_HTTP_ONLY": "true", "SESSION_COOKIE_SAME_SITE": "Strict",
	"SESSION_COOKIE_MAX_AGE": "720h", "SESSION_COOKIE_PARTITIONED": "true", "SESSION_COOKIE_FORMER": "/,example.com/shop,  www.example.com/",
	"SESSION_ROTATE_GRACE": "10s", "SESSION_REFRESH_INTERVAL": "1m", "SESSION_RENEW_AFTER": "15m",
	"SESSION_MAX_USER_SESSIONS": "3", "SESSION_END_OLDEST": "true", "SESSION_DEVICE_PATH": "/app/device",
}

func want() Config {
	return Config{
		Store: NewSecret("other://user@host1:1,host2:2/x"), StorePassword: NewSecret(password), Prefix: "shop:",
		IdleTimeout: Duration{Duration: 90 * time.Minute}, AbsoluteTimeout: Duration{Duration: 48 * time.Hour}, OpTimeout: Duration{Duration: 3 * time.Second},
		Cookie: Cookie{
			Name: "__Secure-sid", Path: "/app", Domain: "example.com", SameSite: SameSite{http.SameSiteStrictMode},
			MaxAge: Duration{Duration: 720 * time.Hour}, Partitioned: true, Secure: yes(), HTTPOnly: yes(),
			Former: Former{[]cookie.Former{{Path: "/"}, {Path: "/shop", Domain: "example.com"}, {Path: "/", Domain: "www.example.com"}}},
		},
		RotateGrace: Duration{Duration: 10 * time.Second}, RefreshInterval: Duration{Duration: time.Minute}, RenewAfter: Duration{Duration: 15 * time.Minute},
		MaxUserSessions: 3, EndOldest: true, DevicePath: "/app/device",
	}
}

func environ(set map[string]string) (all []string) {
	all = []string{"HOME=/root", "SESSION_MANAGER=local/host:@/tmp/.ICE-unix/1", "SESSIONNAME=Console", "SESSION_COOKIE_PATH="}
	for name, value := range set {
		all = append(all, name+"="+value)
	}
	return all
}

func TestFromEnv(t *testing.T) {
	c, err := fromEnv(environ(everything))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, want()) {
		t.Errorf("got %+v, want %+v", c, want())
	}
	for _, pair := range os.Environ() { // the developer's
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, prefix) {
			t.Setenv(name, value) // which restores it
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, value := range everything {
		t.Setenv(name, value)
	}
	if c, err = FromEnv(); err != nil || !reflect.DeepEqual(c, want()) {
		t.Errorf("of the process: got %+v, %v", c, err)
	}
}

// What the Manager gets is what was said.
func TestManager(t *testing.T) {
	opened = nil
	m, closer, err := want().Manager()
	if err != nil {
		t.Fatal(err)
	}
	if err := closer.Close(); err != nil {
		t.Error(err)
	}
	p := m.Propagator.(*cookie.Propagator)
	got := []any{p.Name, p.Path, p.Domain, p.SameSite, p.MaxAge, p.Partitioned, p.Insecure, p.Former, m.RotateGrace, m.RefreshInterval, m.RenewAfter, m.MaxUserSessions, m.EndOldest, m.DevicePath}
	wanted := []any{"__Secure-sid", "/app", "example.com", http.SameSiteStrictMode, 720 * time.Hour, true, false, want().Cookie.Former.Cookies, 10 * time.Second, time.Minute, 15 * time.Minute, 3, true, "/app/device"}
	if !reflect.DeepEqual(got, wanted) {
		t.Errorf("got %v, want %v", got, wanted)
	}
	o := Options{URL: "other://user:" + password + "@host1:1,host2:2/x", Prefix: "shop:", IdleTimeout: 90 * time.Minute, AbsoluteTimeout: 48 * time.Hour, OpTimeout: 3 * time.Second}
	if len(opened) != 1 || opened[0] != o {
		t.Error("the store was opened with other options")
	}
}

// The cookie of bound sessions has a name that browsers bind.
func TestDeviceBound(t *testing.T) {
	for set, want := range map[string]string{
		"":                                 "__Host-session",
		"SESSION_COOKIE_NAME=__Secure-sid": "__Secure-sid",
		"SESSION_COOKIE_SECURE=false":      "", // the default of package cookie
	} {
		c, err := fromEnv([]string{"SESSION_DEVICE_BOUND=10m", "SESSION_DEVICE_PATH=/dbsc", set})
		if err != nil {
			t.Error(err)
			continue
		}
		m, _, err := c.Manager()
		if err != nil || m.DeviceBound != 10*time.Minute {
			t.Errorf("%s: got %v, want sessions that are bound for 10 minutes", set, err)
		}
		if got := m.Propagator.(*cookie.Propagator).Name; got != want {
			t.Errorf("%s: got a cookie named %q, want %q", set, got, want)
		}
	}
}

// The store is the one of the scheme, and the zero Config is memory and the safest cookie.
func TestStores(t *testing.T) {
	if m, closer, err := (Config{}).Manager(); err != nil || closer == nil {
		t.Error(err)
	} else if p, ok := m.Propagator.(*cookie.Propagator); !ok || p.Insecure {
		t.Error("the zero Config has no safe cookie")
	}
	c := Config{Store: NewSecret("memory:"), MaxSessions: 7, IdleTimeout: Duration{Duration: time.Minute}, AbsoluteTimeout: Duration{Duration: time.Hour}}
	m, _, err := c.Manager()
	if err != nil {
		t.Fatal(err)
	}
	if st, ok := m.Store.(*memory.Store); !ok || st.MaxSessions != 7 || st.IdleTimeout != time.Minute || st.AbsoluteTimeout != time.Hour {
		t.Error("memory: is another store")
	}
	c = Config{Store: NewSecret("sealed:"), Keys: NewSecret(key1 + "," + key2), Purpose: "shop", IdleTimeout: Duration{Duration: time.Minute}}
	if m, _, err = c.Manager(); err != nil {
		t.Fatal(err)
	}
	if st, ok := m.Store.(*sealed.Store); !ok || len(st.Keys) != 2 || st.Purpose != "shop" || st.IdleTimeout != time.Minute {
		t.Error("sealed: is another store")
	}
}

// The replicas of Redis are counted where the store is Redis.
func TestWaitReplicas(t *testing.T) {
	opened = nil
	if _, _, err := (Config{Store: NewSecret("redis+other://host"), WaitReplicas: 2}).Manager(); err != nil {
		t.Fatal(err)
	}
	if opened[0].WaitReplicas != 2 {
		t.Errorf("got %d, want 2", opened[0].WaitReplicas)
	}
}

// A path may have an @, where the scheme is known: the text before it is no user then.
func TestStorePath(t *testing.T) {
	opened = nil
	const file = "other:/var/lib/app@home/sessions.db"
	if _, _, err := (Config{Store: NewSecret(file)}).Manager(); err != nil || opened[0].URL != file {
		t.Errorf("got %v and %v", opened, err)
	}
}

// The password goes where the URL has room for it, whatever is in it.
func TestStorePassword(t *testing.T) {
	for store, want := range map[string]string{
		"other://host":                 "other://:p%40%2F@host",
		"other://ada@host/0?x=a@b":     "other://ada:p%40%2F@host/0?x=a@b",
		"other://ada@a@host":           "other://ada@a:p%40%2F@host",
		"other://host1:1,host2:2/x@y":  "other://:p%40%2F@host1:1,host2:2/x@y",
		"other://ada@[::1]:6379#a:b@c": "other://ada:p%40%2F@[::1]:6379#a:b@c",
	} {
		opened = nil
		if _, _, err := (Config{Store: NewSecret(store), StorePassword: NewSecret("p@/")}).Manager(); err != nil {
			t.Error(err)
		} else if opened[0].URL != want {
			t.Errorf("got %s, want %s", opened[0].URL, want)
		}
	}
}

func TestSecretsInFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(key1+",\n"+key2+"\r\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := fromEnv([]string{"SESSION_STORE=sealed:", "SESSION_KEYS_FILE=" + path})
	if err != nil || c.Keys.reveal() != key1+",\n"+key2 {
		t.Errorf("got other keys, %v", err)
	}
}

// Nothing that prints a Config prints a secret, also where the Config is hidden in a struct.
func TestPrinting(t *testing.T) {
	c := want()
	c.Store, c.Keys = NewSecret("other://ada:"+password+"@host"), NewSecret(key1)
	hidden := struct {
		config  Config
		pointer *Config
		secret  Secret
		secrets []Secret
	}{c, &c, c.Keys, []Secret{c.Store}}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("configured", "config", c, "pointer", &c, "secret", c.Store, "hidden", hidden, "map", map[string]any{"keys": c.Keys})
	}
	withoutSecrets(t, log.String())
	if !strings.Contains(log.String(), placeholder) {
		t.Errorf("got %s, want the placeholder", &log)
	}
	for verb := 'A'; verb <= 'z'; verb++ {
		for _, flags := range []string{"", "+", "#", " ", "-40", "040.3"} {
			for _, v := range []any{c, &c, c.Store, &c.Store, hidden, []any{c}, map[string]Config{"a": c}} {
				withoutSecrets(t, fmt.Sprintf("%"+flags+string(verb), v))
			}
		}
	}
	if got := fmt.Sprintf("%s|%q|%v|%x", c.Keys, c.Keys, c.Keys, Secret{}); got != "[secret]|[secret]|[secret]|" {
		t.Errorf("got %s", got)
	}
	encoded, err := json.Marshal(c)
	withoutSecrets(t, string(encoded))
	if err != nil || !strings.Contains(string(encoded), `"idle-timeout":"1h30m0s"`) || !strings.Contains(string(encoded), `"same-site":"strict"`) {
		t.Errorf("got %s, %v", encoded, err)
	}
	marshaled, err := xml.Marshal(c)
	withoutSecrets(t, string(marshaled))
	var stream bytes.Buffer
	_ = gob.NewEncoder(&stream).Encode(c)
	withoutSecrets(t, stream.String())
	if err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal(encoded, &c); err == nil {
		t.Error("the placeholder is read as a secret")
	}
}

// What a zero Config is written as, is read as the same.
func TestRoundTrip(t *testing.T) {
	encoded, err := json.Marshal(Config{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := FromFile(fileOf(t, string(encoded)), nil)
	if err != nil || behavior(t, c) != behavior(t, Config{}) {
		t.Errorf("got %+v, %v, of %s", c, err, encoded)
	}
}

func TestRegister(t *testing.T) {
	for _, scheme := range []string{"other", "memory", "sealed"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: registered twice", scheme)
				}
			}()
			Register(func(Options) (session.Store, io.Closer, error) { return nil, nil, nil }, scheme)
		}()
	}
}

// A program has no client of a database in it but those whose packages it imports.
func TestDependencies(t *testing.T) {
	for _, program := range []struct {
		packages []string
		allowed  []string // among the clients
	}{
		// database/sql/driver alone is no client; the type of an id implements one of its interfaces. Package dbsc alone
		// reads proofs.
		{[]string{".", "../memory", "../sealed", "../cookie"}, nil},
		{[]string{".", "../redis"}, []string{"redis"}},
		{[]string{".", "../sql"}, []string{"database/sql"}},
		{[]string{"../sql/postgres"}, []string{"database/sql", "pgx"}},
		{[]string{"../sql/mysql"}, []string{"database/sql", "mysql"}},
		{[]string{"../sql/sqlite"}, []string{"database/sql", "sqlite"}},
		{[]string{"../dbsc"}, []string{"jose"}},
	} {
		list := append([]string{"list", "-deps"}, program.packages...)
		out, err := exec.CommandContext(t.Context(), "go", list...).Output()
		if err != nil {
			t.Fatal(err)
		}
		deps := strings.Fields(string(out))
		for _, path := range deps {
			for _, client := range []string{"redis", "pgx", "lib/pq", "mysql", "sqlite", "database/sql", "jose"} {
				found := strings.Contains(path, client)
				if client == "database/sql" {
					found = path == client
				}
				if found && !slices.Contains(program.allowed, client) {
					t.Errorf("%v brings in %s", program.packages, path)
				}
			}
		}
		if slices.Contains(program.packages, ".") && !slices.Contains(deps, "github.com/mist-contrib/session/config") {
			t.Error("go list has not listed this package")
		}
	}
}
