package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	burntsushi "github.com/BurntSushi/toml"
	goccy "github.com/goccy/go-yaml"
	pelletier "github.com/pelletier/go-toml/v2"
	"gopkg.in/yaml.v3"

	"github.com/mist-contrib/session/config"
	"github.com/mist-contrib/session/cookie"
)

const password = "s3cr3t-p4ss"

// A format is a decoder that people use, with its encoder.
type format struct {
	decode func(data []byte, into any) error
	encode func(v any) ([]byte, error)
	kind   string
}

var formats = map[string]format{
	"encoding/json":    {json.Unmarshal, json.Marshal, "json"},
	"yaml.v3":          {yaml.Unmarshal, yaml.Marshal, "yaml"},
	"goccy/go-yaml":    {func(data []byte, into any) error { return goccy.Unmarshal(data, into) }, goccy.Marshal, "yaml"},
	"BurntSushi/toml":  {burntsushi.Unmarshal, burntsushi.Marshal, "toml"},
	"pelletier/toml":   {pelletier.Unmarshal, pelletier.Marshal, "toml"},
	"yaml.v3 for JSON": {yaml.Unmarshal, yaml.Marshal, "json"},
}

// whole sets every field that fits its store.
var whole = map[string]string{
	"json": `{"store": "redis://ada@host/3", "store-password": "` + password + `", "prefix": "shop:",
"idle-timeout": "1h30m", "absolute-timeout": "48h", "op-timeout": "3s", "wait-replicas": 1, "rotate-grace": "10s", "refresh-interval": "1m", "renew-after": "15m",
"max-user-sessions": 3, "end-oldest": true, "cookie": {"name": "__Secure-sid", "path": "/app", "domain": "example.com",
"secure": true, "http-only": true, "same-site": "strict", "max-age": "720h", "partitioned": true, "former": "/, example.com/old"}}`,
	"yaml": `store: redis://ada@host/3
store-password: ` + password + `
prefix: "shop:"
idle-timeout: 1h30m
absolute-timeout: 48h
op-timeout: 3s
wait-replicas: 1
rotate-grace: 10s
refresh-interval: 1m
renew-after: 15m
max-user-sessions: 3
end-oldest: true
cookie:
  name: __Secure-sid
  path: /app
  domain: example.com
  secure: true
  http-only: true
  same-site: strict
  max-age: 720h
  partitioned: true
  former: /, example.com/old
`,
	"toml": `store = "redis://ada@host/3"
store-password = "` + password + `"
prefix = "shop:"
idle-timeout = "1h30m"
absolute-timeout = "48h"
op-timeout = "3s"
wait-replicas = 1
rotate-grace = "10s"
refresh-interval = "1m"
renew-after = "15m"
max-user-sessions = 3
end-oldest = true
[cookie]
name = "__Secure-sid"
path = "/app"
domain = "example.com"
secure = true
http-only = true
same-site = "strict"
max-age = "720h"
partitioned = true
former = "/, example.com/old"
`,
}

func want() config.Config {
	yes := true
	c := config.Config{
		Store: config.NewSecret("redis://ada@host/3"), StorePassword: config.NewSecret(password), Prefix: "shop:",
		IdleTimeout: config.Duration{Duration: 90 * time.Minute}, AbsoluteTimeout: config.Duration{Duration: 48 * time.Hour}, OpTimeout: config.Duration{Duration: 3 * time.Second}, WaitReplicas: 1,
		RotateGrace: config.Duration{Duration: 10 * time.Second}, RefreshInterval: config.Duration{Duration: time.Minute}, RenewAfter: config.Duration{Duration: 15 * time.Minute},
		MaxUserSessions: 3, EndOldest: true,
	}
	c.Cookie.Name, c.Cookie.Path, c.Cookie.Domain, c.Cookie.Secure, c.Cookie.HTTPOnly = "__Secure-sid", "/app", "example.com", &yes, &yes
	c.Cookie.SameSite, c.Cookie.MaxAge, c.Cookie.Partitioned = config.SameSite{SameSite: http.SameSiteStrictMode}, config.Duration{Duration: 720 * time.Hour}, true
	c.Cookie.Former.Cookies = []cookie.Former{{Path: "/"}, {Path: "/old", Domain: "example.com"}}
	return c
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "session")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every decoder gives an equal Config: of FromFile, and by itself as part of a program's
// own struct.
func TestDecoders(t *testing.T) {
	for name, f := range formats {
		t.Run(name, func(t *testing.T) {
			if c, err := config.FromFile(file(t, whole[f.kind]), f.decode); err != nil || !reflect.DeepEqual(c, want()) {
				t.Errorf("FromFile: got %+v, %v, want %+v", c, err, want())
			}
			var c config.Config
			if err := f.decode([]byte(whole[f.kind]), &c); err != nil || !reflect.DeepEqual(c, want()) {
				t.Errorf("by itself: got %+v, %v, want %+v", c, err, want())
			}
			if err := c.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What one format calls the mistake, the others call it, too; none of the errors contains
// the password, which every file has.
func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		json, yaml, toml string
		name             string // what the error contains
	}{
		{`"stroe": "x"`, `stroe: x`, `stroe = "x"`, "stroe"},
		{`"cookie": {"httponly": true}`, `cookie: {httponly: true}`, `cookie = {httponly = true}`, "cookie.httponly"},
		{`"stroe": {}`, `stroe: {}`, `stroe = {}`, "stroe"},
		{`"idle-timeout": 30`, `idle-timeout: 30`, `idle-timeout = 30`, "idle-timeout"},
		{`"idle-timeout": 0`, `idle-timeout: 0`, `idle-timeout = 0`, "idle-timeout"},
		{`"idle-timeout": 1.5`, `idle-timeout: 1.5`, `idle-timeout = 1.5`, "idle-timeout"},
		{`"idle-timeout": "30"`, `idle-timeout: "30"`, `idle-timeout = "30"`, "idle-timeout"},
		{`"idle-timeout": true`, `idle-timeout: true`, `idle-timeout = true`, "idle-timeout"},
		{`"idle-timeout": "` + password + `"`, `idle-timeout: ` + password, `idle-timeout = "` + password + `"`, "idle-timeout"},
		{`"cookie": {"same-site": "loose"}`, `cookie: {same-site: loose}`, `cookie = {same-site = "loose"}`, "cookie.same-site"},
		{`"cookie": {"same-site": 2}`, `cookie: {same-site: 2}`, `cookie = {same-site = 2}`, "cookie.same-site"},
		{`"max-sessions": "3"`, `max-sessions: "3"`, `max-sessions = "3"`, "max-sessions"},
		{`"max-sessions": 1.5`, `max-sessions: 1.5`, `max-sessions = 1.5`, "max-sessions"},
		{`"end-oldest": "true"`, `end-oldest: "true"`, `end-oldest = "true"`, "end-oldest"},
		{`"store": {"url": "x"}`, `store: {url: x}`, `store = {url = "x"}`, "store"},
		{`"store": 83`, `store: 0123`, `store = 0o123`, "store"}, // a number, and nobody knows which text it was
		{`"keys": ["x"]`, `keys: [x]`, `keys = ["x"]`, "keys"},
		{`"keys": "[secret]"`, `keys: "[secret]"`, `keys = "[secret]"`, "keys"},
		{`"keys": "`, `keys: "`, `keys = `, ": malformed"},
		{`"keys" "x"`, `keys: : "x"`, `keys "x"`, ": malformed"},
	} {
		for name, f := range formats {
			text := map[string]string{
				"json": "{\"store-password\": \"" + password + "\",\n" + tt.json + "}",
				"yaml": "store-password: " + password + "\n" + tt.yaml + "\n",
				"toml": "store-password = \"" + password + "\"\n" + tt.toml + "\n",
			}[f.kind]
			_, err := config.FromFile(file(t, text), f.decode)
			if err == nil || !strings.Contains(err.Error(), tt.name) {
				t.Errorf("%s: %s: got %v, want an error with %s", name, text, err, tt.name)
			} else if strings.Contains(err.Error(), password) {
				t.Errorf("%s: %s: the error contains the password", name, text)
			}
		}
	}
	for name, f := range formats {
		if _, err := config.FromFile(file(t, "\n"), f.decode); err == nil || !strings.Contains(err.Error(), "empty") {
			t.Errorf("%s: an empty file: got %v", name, err)
		}
		if _, err := config.FromFile(file(t, "# nothing\n"), f.decode); err == nil {
			t.Errorf("%s: a file of comments: got no error", name)
		}
	}
}

// A decoder by itself refuses what a field cannot be, too.
func TestMistakesByThemselves(t *testing.T) {
	for name, f := range formats {
		for _, text := range map[string][]string{
			"json": {`{"idle-timeout": 30}`, `{"idle-timeout": 0}`, `{"idle-timeout": "30"}`, `{"cookie": {"same-site": "loose"}}`, `{"cookie": {"same-site": 2}}`, `{"keys": "[secret]"}`},
			"yaml": {"idle-timeout: 30", "idle-timeout: 0", "idle-timeout: \"30\"", "cookie: {same-site: loose}", "cookie: {same-site: 2}", "keys: \"[secret]\""},
			"toml": {"idle-timeout = 30", "idle-timeout = 0", "idle-timeout = \"30\"", "cookie = {same-site = \"loose\"}", "cookie = {same-site = 2}", "keys = \"[secret]\""},
		}[f.kind] {
			if err := f.decode([]byte(text), new(config.Config)); err == nil {
				t.Errorf("%s: %s: got no error", name, text)
			}
		}
	}
}

// Every encoder hides the secrets, also in a struct of the program, and writes the rest
// such that its decoder reads it.
func TestEncoders(t *testing.T) {
	for name, f := range formats {
		program := struct {
			Name    string         `json:"name" yaml:"name" toml:"name"`
			Session config.Config  `json:"session" yaml:"session" toml:"session"`
			Pointer *config.Config `json:"pointer" yaml:"pointer" toml:"pointer"`
		}{"shop", want(), new(want())}
		data, err := f.encode(program)
		if err != nil || bytes.Contains(data, []byte(password)) || bytes.Contains(data, []byte("ada")) || !bytes.Contains(data, []byte("[secret]")) {
			t.Errorf("%s: got %s, %v, want [secret] for each secret", name, data, err)
		}
		c := want()
		c.Store, c.StorePassword = config.Secret{}, config.Secret{}
		c.Prefix = ""
		if data, err = f.encode(c); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var again config.Config
		if err := f.decode(data, &again); err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%s: got %+v, %v, of %s", name, again, err, data)
		}
	}
}

// The three files in docs/configuration.md say the same.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	begins := map[string]string{"json": "    {\"store\"", "yaml": "    store: ", "toml": "    store = "}
	for name, f := range formats {
		_, text, _ := strings.Cut(string(page), "\n"+begins[f.kind])
		text, _, _ = strings.Cut(text, "\n\n")
		text = strings.ReplaceAll(begins[f.kind]+text, "\n    ", "\n")[len("    "):]
		c, err := config.FromFile(file(t, text), f.decode)
		want := config.Config{Store: config.NewSecret("redis+sentinel://sessions@s1,s2,s3/mymaster"), IdleTimeout: config.Duration{Duration: time.Hour}}
		want.Cookie.Name, want.Cookie.SameSite = "__Host-sid", config.SameSite{SameSite: http.SameSiteStrictMode}
		if err != nil || !reflect.DeepEqual(c, want) {
			t.Errorf("%s: got %+v, %v, of %s", name, c, err, text)
		}
	}
}
