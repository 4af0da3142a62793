package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestFromFile(t *testing.T) {
	dir := t.TempDir()
	file := func(content string) string {
		path := filepath.Join(dir, "session.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const whole = `{"store": "other://user@host1:1,host2:2/x", "store-password": "` + password + `", "prefix": "shop:",
		"idle-timeout": "1h30m", "absolute-timeout": "48h", "cookie": {"name": "__Secure-sid", "path": "/app",
		"domain": "example.com", "secure": true, "http-only": true, "same-site": "strict", "max-age": "720h", "partitioned": true},
		"rotate-grace": "10s", "refresh-interval": "1m", "renew-after": "15m", "max-user-sessions": 3, "end-oldest": true}`
	if c, err := FromFile(file(whole), nil); err != nil || !reflect.DeepEqual(c, want()) {
		t.Errorf("got %+v, %v", c, err)
	}
	if c, err := FromFile(file("{}"), nil); err != nil || !reflect.DeepEqual(c, Config{}) {
		t.Errorf("got %+v, %v, want the zero Config", c, err)
	}
	for content, names := range map[string]string{
		"": "empty", " \n": "empty", "null": "", "[]": "", `"x"`: "", "{} {}": "", "{": "",
		`{"stroe": "` + password + `"}`:                                "stroe",
		`{"Store": "memory:"}`:                                         "Store",
		`{"cookie": {"httponly": true}}`:                               "cookie.httponly",
		`{"idle-timeout": 30}`:                                         "idle-timeout",
		`{"idle-timeout": "30"}`:                                       "30",
		`{"cookie": {"same-site": "loose"}}`:                           "loose",
		`{"keys": "` + key1 + `"}`:                                     "keys",
		`{"store": "other://a:` + password + `@h", "max-sessions": 3}`: "max-sessions",
		`{"store": "other://a:` + password + `@h", "max-sessions": "` + password + `"}`: "",
	} {
		if content == "null" {
			continue
		}
		_, err := FromFile(file(content), nil)
		if err == nil || !strings.Contains(err.Error(), names) {
			t.Errorf("%.20q: got %v, want an error with %q", content, err, names)
		} else if strings.Contains(err.Error(), password) || strings.Contains(err.Error(), key1) {
			t.Errorf("%.10q: the error holds a secret", content)
		}
	}
	for _, path := range []string{filepath.Join(dir, "absent"), dir} {
		if _, err := FromFile(path, nil); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want an error that names the path", err)
		}
	}
	if _, err := FromFile(filepath.Join(dir, "absent"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist", err)
	}
	// A decoder that quotes the file.
	quoting := func(data []byte, _ any) error { return fmt.Errorf("[2:1] no\n  1 | %s", data) }
	if _, err := FromFile(file("store: other://a:"+password+"@h\nkeys: x"), quoting); err == nil || strings.Contains(err.Error(), password) {
		t.Error("the error holds a secret")
	}
}
