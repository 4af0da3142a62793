package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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
	url := "other://ada:" + password + "@host"
	for _, tt := range []struct {
		set   map[string]string
		names []string // without SESSION_
	}{
		{set("STROE", url), []string{"STROE", "STORE"}},
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
		{set("STORE", url, "STORE_PASSWORD", password), []string{"STORE", "STORE_PASSWORD"}},
		{set("STORE_PASSWORD", password), []string{"STORE", "STORE_PASSWORD"}},
		{set("STORE", url, "STORE_FILE", file("url", url)), []string{"STORE", "STORE_FILE"}},
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
		{set("IDLE_TIMEOUT", "30"), []string{"IDLE_TIMEOUT"}},
		{set("IDLE_TIMEOUT", "13h"), []string{"IDLE_TIMEOUT", "ABSOLUTE_TIMEOUT"}},
		{set("ABSOLUTE_TIMEOUT", "401d"), []string{"ABSOLUTE_TIMEOUT"}},
		{set("ABSOLUTE_TIMEOUT", "9601h"), []string{"ABSOLUTE_TIMEOUT"}},
		{set("ABSOLUTE_TIMEOUT", "-1h"), []string{"ABSOLUTE_TIMEOUT"}},
		{set("MAX_SESSIONS", "many"), []string{"MAX_SESSIONS"}},
		{set("MAX_SESSIONS", "-1"), []string{"MAX_SESSIONS"}},
		{set("COOKIE_NAME", "a b"), []string{"COOKIE_"}},
		{set("COOKIE_PATH", "app"), []string{"COOKIE_"}},
		{set("COOKIE_DOMAIN", "example.com"), []string{"COOKIE_"}},
		{set("COOKIE_SECURE", "perhaps"), []string{"COOKIE_SECURE"}},
		{set("COOKIE_SECURE", "false", "COOKIE_SAME_SITE", "none"), []string{"COOKIE_"}},
		{set("COOKIE_HTTP_ONLY", "false"), []string{"COOKIE_HTTP_ONLY"}},
		{set("COOKIE_SAME_SITE", "loose"), []string{"COOKIE_SAME_SITE"}},
		{set("COOKIE_MAX_AGE", "3600"), []string{"COOKIE_MAX_AGE"}},
		{set("COOKIE_MAX_AGE", "1ms"), []string{"COOKIE_"}},
		{set("COOKIE_PARTITIONED", "2"), []string{"COOKIE_PARTITIONED"}},
		{set("ROTATE_GRACE", "25h"), []string{"ROTATE_GRACE"}},
		{set("REFRESH_INTERVAL", "soon"), []string{"REFRESH_INTERVAL"}},
		{set("RENEW_AFTER", "-1s"), []string{"RENEW_AFTER"}},
		{set("MAX_USER_SESSIONS", "-3"), []string{"MAX_USER_SESSIONS"}},
		{set("END_OLDEST", "si"), []string{"END_OLDEST"}},
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
			if !regexp.MustCompile(`\bSESSION_` + name).MatchString(err.Error()) {
				t.Errorf("%v: %v does not name SESSION_%s", names, err, name)
			}
		}
		for _, secret := range []string{password, key1[:8], "c2hvcnQ"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%v: the error holds a secret", names)
			}
		}
	}
	if _, err := fromEnv([]string{"SESSION_STORE_FILE=" + filepath.Join(dir, "absent")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist", err)
	}
}
