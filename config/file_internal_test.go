package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// wholeFile sets the fields that the variables of everything set.
const wholeFile = `{"store": "other://user@host1:1,host2:2/x", "store-password": "` + password + `", "prefix": "shop:",
	"idle-timeout": "1h30m", "absolute-timeout": "48h", "op-timeout": "3s", "cookie": {"name": "__Secure-sid", "path": "/app",
	"domain": "example.com", "secure": true, "http-only": true, "same-site": "strict", "max-age": "720h", "partitioned": true,
	"former": "/, example.com/shop, www.example.com/"},
	"rotate-grace": "10s", "refresh-interval": "1m", "renew-after": "15m", "max-user-sessions": 3, "end-oldest": true, "device-path": "/app/device"}`

func fileOf(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "session.json")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFromFile(t *testing.T) {
	if c, err := FromFile(fileOf(t, wholeFile), nil); err != nil || !reflect.DeepEqual(c, want()) {
		t.Errorf("got %+v, %v, want %+v", c, err, want())
	}
	var decoded Config
	if err := json.Unmarshal([]byte(wholeFile), &decoded); err != nil || !reflect.DeepEqual(decoded, want()) {
		t.Errorf("decoded: got %+v, %v, want %+v", decoded, err, want())
	}
	c, err := FromFile(fileOf(t, `{"keys": "`+key1+`", "store": "sealed:", "prefix": null, "cookie": null, "idle-timeout": null}`), nil)
	if err != nil || !reflect.DeepEqual(c, Config{Store: NewSecret("sealed:"), Keys: NewSecret(key1)}) {
		t.Errorf("got %+v, %v, want null to set nothing", c, err)
	}
	if c, err = FromFile(fileOf(t, `{"max-sessions": 1e3}`), nil); err != nil || c.MaxSessions != 1000 {
		t.Errorf("got %d, %v, want 1000", c.MaxSessions, err)
	}
}

// Every mistake is an error that names the file and the field, and contains no value.
func TestFileMistakes(t *testing.T) {
	t.Setenv("SESSION_STORE", "other://"+password) // does not count
	for _, tt := range []struct {
		content string
		names   string // separated by spaces
	}{
		{"", "empty"},
		{" \n", "empty"},
		{"null", "empty"},
		{"{}", "empty"},
		{"[]", "malformed"},
		{`"` + password + `"`, "malformed"},
		{`{"store": "` + password, ":1: malformed"},
		{`{"store": "memory:"} ` + password, ":1: malformed"},
		{`{"store": "memory:"} {"keys": "` + key1 + `"}`, ":1: malformed"},
		{"{\n" + `"keys": ` + key1 + "}", ":2: malformed"},
		{`{"stroe": "` + password + `"}`, "stroe store"},
		{`{"stroe": null}`, "stroe"},
		{`{"stroe": {}}`, "stroe"},
		{`{"Store": "memory:"}`, "Store store"},
		{`{"cookie": {"httponly": true}}`, "cookie.httponly http-only"},
		{`{"cookie": {"cookie": {}}}`, "cookie.cookie"},
		{`{"other://ada:` + password + `@host": 1}`, "unknown"},
		{`{"` + key1 + `": 1}`, "unknown"},
		{`{"store": {"url": "` + password + `"}}`, "store"},
		{`{"store": 12345678}`, "store"},
		{`{"store-password": true}`, "store-password"},
		{`{"store": "other://host", "store-password": 12345678}`, "store-password"},
		{`{"keys": ["` + key1 + `"]}`, "keys"},
		{`{"keys": "[secret]", "store": "sealed:"}`, "keys"},
		{`{"prefix": 12345678}`, "prefix"},
		{`{"idle-timeout": 30}`, "idle-timeout"},
		{`{"idle-timeout": 0}`, "idle-timeout"},
		{`{"idle-timeout": "30"}`, "idle-timeout"},
		{`{"idle-timeout": "0"}`, "idle-timeout"},
		{`{"idle-timeout": ""}`, "idle-timeout"},
		{`{"absolute-timeout": "` + password + `"}`, "absolute-timeout"},
		{`{"max-sessions": "` + password + `"}`, "max-sessions"},
		{`{"max-sessions": 1.5}`, "max-sessions"},
		{`{"max-sessions": 1e10}`, "max-sessions"},
		{`{"max-sessions": -1}`, "max-sessions"},
		{`{"cookie": "` + password + `"}`, "cookie"},
		{`{"cookie": {"secure": "true"}}`, "cookie.secure"},
		{`{"cookie": {"http-only": false}}`, "cookie.http-only"},
		{`{"cookie": {"same-site": "` + password + `"}}`, "cookie.same-site"},
		{`{"cookie": {"same-site": 2}}`, "cookie.same-site"},
		{`{"cookie": {"former": "` + password + `"}}`, "cookie.former"},
		{`{"cookie": {"former": ["/", "` + password + `"]}}`, "cookie.former"},
		{`{"cookie": {"domain": "example.com"}}`, "cookie.domain cookie.name"},
		{`{"op-timeout": 3}`, "op-timeout"},
		{`{"wait-replicas": "1"}`, "wait-replicas"},
		{`{"wait-replicas": 1}`, "wait-replicas store"},
		{`{"purpose": "` + password + `"}`, "purpose store"},
		{`{"end-oldest": 1}`, "end-oldest"},
		{`{"end-oldest": true}`, "end-oldest max-user-sessions"},
		{`{"keys": "` + key1 + `"}`, "keys store"},
		{`{"store": "other://a:` + password + `@h", "max-sessions": 3}`, "max-sessions store"},
		{`{"idle-timeout": "x", "renew-after": "x", "what": 1}`, "idle-timeout renew-after what"},
	} {
		path := fileOf(t, tt.content)
		c, err := FromFile(path, nil)
		if err == nil {
			t.Errorf("%s: got no error", tt.content)
			continue
		}
		if !reflect.DeepEqual(c, Config{}) {
			t.Errorf("%s: got a Config beside an error", tt.content)
		}
		for _, name := range append(strings.Split(tt.names, " "), path) {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v does not contain %s", tt.content, err, name)
			}
		}
		if strings.Contains(err.Error(), "SESSION_") {
			t.Errorf("%s: %v names a variable", tt.content, err)
		}
		withoutSecrets(t, err.Error(), "12345678")
	}
}

func TestFileMissing(t *testing.T) {
	dir := t.TempDir()
	absent := filepath.Join(dir, "absent")
	if _, err := FromFile(absent, nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), absent) {
		t.Errorf("got %v, want fs.ErrNotExist and the path", err)
	}
	if _, err := FromFile(dir, nil); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory: got %v, want an error with its path", err)
	}
}

type locatedError struct{ row int }

func (e locatedError) Error() string        { return password }
func (e locatedError) Position() (int, int) { return e.row, 1 }

// Of a decoder's error only the line is told, whichever way the decoder tells it.
func TestDecoderErrors(t *testing.T) {
	path := fileOf(t, "store: other://a:"+password+"@h\nkeys: x")
	for want, cause := range map[string]error{
		path + ":2: malformed":  fmt.Errorf("[2:1] no\n  1 | store: %s", password),
		path + ":1: malformed":  fmt.Errorf("yaml: line 1: %s", password),
		path + ":2: malformed ": fmt.Errorf("%s: %w", password, locatedError{2}),
		path + ": malformed":    errors.New("line 47" + password),
		path + ": malformed ":   locatedError{-1},
		path + ": malformed  ":  errors.New(password),
	} {
		_, err := FromFile(path, func([]byte, any) error { return cause })
		if err == nil || err.Error() != "config: "+strings.TrimSpace(want) {
			t.Errorf("got %v, want %s", err, want)
		}
		if errors.Is(err, cause) {
			t.Error("the decoder's error can be reached, and its text")
		}
	}
}
