package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// Every mistake is an error that names the variable, and no secret.
func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	set := func(pairs ...string) map[string]string {
		m := make(map[string]string)
		for i := 0; i < len(pairs); i += 2 {
			m["SESSION_"+pairs[i]] = pairs[i+1]
		}
		return m
	}
	address := "other://ada:" + password + "@host"
	for _, tt := range []struct {
		set   map[string]string
		names []string // without SESSION_
	}{
		{set("STROE", address), []string{"STROE", "STORE"}},
		{set("COOKIE_SAMESITE", "lax"), []string{"COOKIE_SAMESITE", "COOKIE_SAME_SITE"}},
		{set("SECRET", key1), []string{"SECRET"}},
		{set("PREFIX_FILE", "x"), []string{"PREFIX_FILE"}},
		{set("", "x"), []string{""}},
		{set("STORE", password), []string{"STORE"}},
		{set("STORE", "://"+password), []string{"STORE"}},
		{set("STORE", "ada:"+password+"@host"), []string{"STORE"}},
		{set("STORE", "redis://ada:"+password+"@host"), []string{"STORE"}},
		{set("STORE", "sqlite:file.db"), []string{"STORE"}},
		{set("STORE", "memory:"+password), []string{"STORE"}},
		{set("STORE", "memory://"+password), []string{"STORE"}},
		{set("STORE", "other://ada:"+password+"@broken"), []string{"STORE"}},
		{set("STORE", "other:"+"file.db", "STORE_PASSWORD", password), []string{"STORE", "STORE_PASSWORD"}},
		{set("STORE", "other://host", "MAX_SESSIONS", "3"), []string{"MAX_SESSIONS", "STORE"}},
		{set("STORE", "sealed:", "KEYS", key1, "PREFIX", "x:"), []string{"PREFIX", "STORE"}},
		{set("STORE", "sealed:", "KEYS", key1, "STORE_PASSWORD", password), []string{"STORE_PASSWORD", "STORE"}},
		{set("KEYS_FILE", key1), []string{"KEYS_FILE"}},
		{set("STORE", "[secret]"), []string{"STORE"}},
		{set("STORE", password+":x@host"), []string{"STORE"}},
		{set("STORE", address, "STORE_PASSWORD", password), []string{"STORE", "STORE_PASSWORD"}},
		{set("STORE_PASSWORD", password), []string{"STORE", "STORE_PASSWORD"}},
		{set("STORE", address, "STORE_FILE", file("url", address)), []string{"STORE", "STORE_FILE"}},
		{set("STORE_FILE", filepath.Join(dir, "absent")), []string{"STORE_FILE"}},
		{set("STORE_FILE", dir), []string{"STORE_FILE"}},
		{set("STORE", "sealed:", "KEYS_FILE", file("empty", "\n")), []string{"KEYS_FILE"}},
		{set("STORE", "sealed:"), []string{"KEYS", "STORE"}},
		{set("KEYS", key1), []string{"KEYS", "STORE"}},
		{set("STORE", "sealed:", "KEYS", "c2hvcnQ="), []string{"KEYS"}},
		{set("STORE", "sealed:", "KEYS", key1+","+key1), []string{"KEYS"}},
		{set("STORE", "sealed:", "KEYS", "!"+password), []string{"KEYS"}},
		{set("STORE", "sealed:", "KEYS", key1, "MAX_USER_SESSIONS", "3"), []string{"MAX_USER_SESSIONS", "STORE"}},
		{set("STORE", "sealed:", "KEYS", key1, "MAX_SESSIONS", "3"), []string{"MAX_SESSIONS", "STORE"}},
		{set("PREFIX", "x:"), []string{"PREFIX", "STORE"}},
		{set("END_OLDEST", "true"), []string{"END_OLDEST", "MAX_USER_SESSIONS"}},
		{set("PURPOSE", "shop"), []string{"PURPOSE", "STORE"}},
		{set("STORE", "sealed:", "KEYS", key1, "PURPOSE", strings.Repeat("x", 257)), []string{"PURPOSE"}},
		{set("OP_TIMEOUT", "3s"), []string{"OP_TIMEOUT", "STORE"}},
		{set("STORE", "sealed:", "KEYS", key1, "OP_TIMEOUT", "3s"), []string{"OP_TIMEOUT", "STORE"}},
		{set("STORE", "other://host", "OP_TIMEOUT", "-1s"), []string{"OP_TIMEOUT"}},
		{set("STORE", "other://host", "OP_TIMEOUT", "0"), []string{"OP_TIMEOUT"}},
		{set("WAIT_REPLICAS", "1"), []string{"WAIT_REPLICAS", "STORE"}},
		{set("STORE", "other://host", "WAIT_REPLICAS", "1"), []string{"WAIT_REPLICAS", "STORE"}},
		{set("STORE", "redis+other://host", "WAIT_REPLICAS", "-1"), []string{"WAIT_REPLICAS"}},
		{set("IDLE_TIMEOUT", "30"), []string{"IDLE_TIMEOUT"}},
		{set("IDLE_TIMEOUT", "13h"), []string{"IDLE_TIMEOUT", "ABSOLUTE_TIMEOUT"}},
		{set("IDLE_TIMEOUT", "0"), []string{"IDLE_TIMEOUT"}},
		{set("ABSOLUTE_TIMEOUT", "401d"), []string{"ABSOLUTE_TIMEOUT"}},
		{set("ABSOLUTE_TIMEOUT", "9601h"), []string{"ABSOLUTE_TIMEOUT"}},
		{set("ABSOLUTE_TIMEOUT", "-1h"), []string{"ABSOLUTE_TIMEOUT"}},
		{set("MAX_SESSIONS", "many"), []string{"MAX_SESSIONS"}},
		{set("MAX_SESSIONS", "-1"), []string{"MAX_SESSIONS"}},
		{set("MAX_SESSIONS", "99999999999"), []string{"MAX_SESSIONS"}},
		{set("COOKIE_NAME", "a b"), []string{"COOKIE_NAME"}},
		{set("COOKIE_PATH", "app"), []string{"COOKIE_PATH", "COOKIE_NAME"}},
		{set("COOKIE_PATH", "app", "COOKIE_NAME", "sid"), []string{"COOKIE_PATH"}},
		{set("COOKIE_DOMAIN", "example.com"), []string{"COOKIE_DOMAIN", "COOKIE_NAME"}},
		{set("COOKIE_DOMAIN", "a b", "COOKIE_NAME", "sid"), []string{"COOKIE_DOMAIN"}},
		{set("COOKIE_SECURE", "perhaps"), []string{"COOKIE_SECURE"}},
		{set("COOKIE_SECURE", "false", "COOKIE_SAME_SITE", "none"), []string{"COOKIE_SECURE", "COOKIE_SAME_SITE"}},
		{set("COOKIE_SECURE", "false", "COOKIE_PARTITIONED", "true"), []string{"COOKIE_SECURE", "COOKIE_PARTITIONED"}},
		{set("COOKIE_SECURE", "false", "COOKIE_NAME", "__Host-sid"), []string{"COOKIE_SECURE", "COOKIE_NAME"}},
		{set("COOKIE_HTTP_ONLY", "false"), []string{"COOKIE_HTTP_ONLY"}},
		{set("COOKIE_SAME_SITE", "loose"), []string{"COOKIE_SAME_SITE"}},
		{set("COOKIE_MAX_AGE", "3600"), []string{"COOKIE_MAX_AGE"}},
		{set("COOKIE_MAX_AGE", "1ms"), []string{"COOKIE_MAX_AGE"}},
		{set("COOKIE_PARTITIONED", "2"), []string{"COOKIE_PARTITIONED"}},
		{set("COOKIE_FORMER", "/app"), []string{"COOKIE_FORMER", "COOKIE_NAME"}},
		{set("COOKIE_FORMER", "app", "COOKIE_NAME", "sid"), []string{"COOKIE_FORMER"}},
		{set("COOKIE_FORMER", "/app,,", "COOKIE_NAME", "sid"), []string{"COOKIE_FORMER"}},
		{set("COOKIE_FORMER", "https://"+password+"/", "COOKIE_NAME", "sid"), []string{"COOKIE_FORMER"}},
		{set("COOKIE_FORMER", "/"+password+";", "COOKIE_NAME", "sid"), []string{"COOKIE_FORMER"}},
		{set("COOKIE_FORMER", "/"+strings.Repeat("x", 2000), "COOKIE_NAME", "sid"), []string{"COOKIE_FORMER"}},
		{set("COOKIE_FORMER", "/", "COOKIE_NAME", "sid"), []string{"COOKIE_FORMER"}},
		{set("COOKIE_FORMER", ".Example.com/", "COOKIE_NAME", "sid", "COOKIE_DOMAIN", "example.com"), []string{"COOKIE_FORMER"}},
		{set("ROTATE_GRACE", "25h"), []string{"ROTATE_GRACE"}},
		{set("REFRESH_INTERVAL", "soon"), []string{"REFRESH_INTERVAL"}},
		{set("RENEW_AFTER", "-1s"), []string{"RENEW_AFTER"}},
		{set("MAX_USER_SESSIONS", "-3"), []string{"MAX_USER_SESSIONS"}},
		{set("END_OLDEST", "si"), []string{"END_OLDEST"}},
		{set("DEVICE_BOUND", "10m", "COOKIE_PATH", "/app"), []string{"COOKIE_NAME", "COOKIE_PATH"}},
		{set("DEVICE_BOUND", "10m", "COOKIE_NAME", "__Http-sid"), []string{"COOKIE_NAME"}},
		{set("DEVICE_BOUND", "10m", "COOKIE_NAME", "__Host-sid", "COOKIE_PARTITIONED", "true"), []string{"COOKIE_PARTITIONED"}},
		{set("DEVICE_BOUND", "10m", "COOKIE_NAME", "sid", "COOKIE_PATH", "/app"), []string{"COOKIE_PATH", "DEVICE_PATH"}},
		{set("DEVICE_BOUND", "999ms", "COOKIE_NAME", "sid"), []string{"DEVICE_BOUND"}},
		{set("DEVICE_BOUND", "10"), []string{"DEVICE_BOUND"}},
		{set("STORE", "sealed:", "KEYS", key1, "DEVICE_BOUND", "10m", "COOKIE_NAME", "sid"), []string{"DEVICE_BOUND", "STORE"}},
		{set("DEVICE_PATH", "dbsc"), []string{"DEVICE_PATH"}},
		{set("DEVICE_PATH", "/dbsc/"), []string{"DEVICE_PATH"}},
		{set("DEVICE_PATH", "//"+password), []string{"DEVICE_PATH"}},
		{set("IDLE_TIMEOUT", "x", "END_OLDEST", "x", "WHAT", "x"), []string{"IDLE_TIMEOUT", "END_OLDEST", "WHAT"}},
	} {
		var names []string
		for name := range tt.set {
			names = append(names, name)
		}
		c, err := fromEnv(environ(tt.set))
		if err == nil {
			_, _, err = c.Manager()
		}
		if err == nil {
			t.Errorf("%v: no error", names)
			continue
		}
		for _, name := range tt.names {
			if !regexp.MustCompile(`\bSESSION_` + name + `\b`).MatchString(err.Error()) {
				t.Errorf("%v: %v does not name SESSION_%s", names, err, name)
			}
		}
		withoutSecrets(t, err.Error())
	}
	if _, err := fromEnv([]string{"SESSION_STORE_FILE=" + filepath.Join(dir, "absent")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist", err)
	}
}

// withoutSecrets fails where a text contains the secrets of the tests, in any form.
func withoutSecrets(t *testing.T, text string, more ...string) {
	t.Helper()
	for _, secret := range append(more, password, key1[:8], key2[:8], "c2hvcnQ") {
		for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprintf("%d", []byte(secret)), url.QueryEscape(secret)} {
			if strings.Contains(text, form) {
				t.Errorf("a text of %d bytes contains a secret", len(text))
			}
		}
	}
}

// The same text as the value of each variable is an error that does not repeat it, or is
// what the variable takes.
func TestMalformed(t *testing.T) {
	takesText := map[string]bool{"SESSION_COOKIE_NAME": true}
	for _, f := range fields(&Config{}) {
		name := inEnv(f.path)
		c, err := fromEnv([]string{name + "=" + password})
		switch {
		case takesText[name]:
			if err != nil {
				t.Errorf("%s: got %v", name, err)
			}
		case err == nil || !strings.Contains(err.Error(), name):
			t.Errorf("%s: got %v, want an error that names it", name, err)
		case strings.Contains(err.Error(), "malformed"):
			t.Errorf("%s: %v does not say what it takes", name, err)
		case !reflect.DeepEqual(c, Config{}):
			t.Errorf("%s: got a Config beside an error", name)
		default:
			withoutSecrets(t, err.Error())
		}
	}
}

// What is set to nothing is not set; a typo is one all the same.
func TestSetToNothing(t *testing.T) {
	var set []string
	for _, f := range fields(&Config{}) {
		set = append(set, inEnv(f.path)+"=")
		if f.secret() {
			set = append(set, inEnv(f.path)+"_FILE=")
		}
	}
	if c, err := fromEnv(set); err != nil || !reflect.DeepEqual(c, Config{}) {
		t.Errorf("got %+v, %v", c, err)
	}
	if _, err := fromEnv([]string{"SESSION_STROE="}); err == nil || !strings.Contains(err.Error(), "SESSION_STROE") {
		t.Errorf("got %v, want an error that names SESSION_STROE", err)
	}
}

func TestNearest(t *testing.T) {
	for name, want := range map[string]string{
		"SESSION_STROE": "SESSION_STORE", "SESSION_KEY": "SESSION_KEYS", "SESSION_STORE_FIEL": "SESSION_STORE_FILE",
		"SESSION_COOKIE_SAMESITE": "SESSION_COOKIE_SAME_SITE", "SESSION_IDLE_TIMOUT": "SESSION_IDLE_TIMEOUT",
		"SESSION_COOKIE_HTTPONLY": "SESSION_COOKIE_HTTP_ONLY", "SESSION_SOMETHING_ELSE": "", "SESSION_X": "",
	} {
		_, err := fromEnv([]string{name + "=x"})
		if err == nil || !strings.Contains(err.Error(), name+" is unknown") {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		if _, got, _ := strings.Cut(err.Error(), "did you mean "); got != strings.TrimLeft(want+"?", "?") {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// An error about a store that is not imported names its scheme, and what to import.
func TestHint(t *testing.T) {
	for store, hints := range map[string][]string{
		"redis://host":                 {`"redis"`, `_ "github.com/mist-contrib/session/redis"`},
		"rediss+sentinel://s1,s2/main": {`"rediss+sentinel"`, `_ "github.com/mist-contrib/session/redis"`},
		"unix:///run/redis.sock":       {`"unix"`, `_ "github.com/mist-contrib/session/redis"`},
		"postgres://host/app":          {`"postgres"`, `_ "github.com/mist-contrib/session/sql/postgres"`},
		"postgresql://host/app":        {`"postgresql"`, `_ "github.com/mist-contrib/session/sql/postgres"`},
		"mysql://host/app":             {`"mysql"`, `_ "github.com/mist-contrib/session/sql/mysql"`},
		"mariadb://host/app":           {`"mariadb"`, `_ "github.com/mist-contrib/session/sql/mysql"`},
		"sqlite:file.db":               {`"sqlite"`, `_ "github.com/mist-contrib/session/sql/sqlite"`},
		"reddis://host":                {`"reddis"`},
	} {
		_, err := fromEnv([]string{"SESSION_STORE=" + store})
		for _, hint := range hints {
			if err == nil || !strings.Contains(err.Error(), hint) {
				t.Errorf("%s: got %v, want an error with %s", store, err, hint)
			}
		}
	}
}
