package config

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

// A recorder remembers the grace that the Manager asks for.
type recorder struct {
	*memory.Store
	grace time.Duration
}

func (r *recorder) Rotate(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
	r.grace = grace
	return r.Store.Rotate(ctx, token, grace)
}

// behavior is what a user notices of a Config: its lifetimes, its cookie and its limits.
func behavior(t *testing.T, c Config) string {
	t.Helper()
	m, _, err := c.Manager()
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{Store: m.Store.(*memory.Store)}
	m.Store, m.NewID = r, func() string { return "f340b261-f217-4d02-8449-ce4f1ddcf523" }
	w := httptest.NewRecorder()
	ctx := &mist.Context{Request: httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), ResponseWriter: w}
	s, err := m.InitSession(ctx)
	if err != nil {
		t.Fatal(err)
	}
	info, err := session.Describe(s)
	if err != nil {
		t.Fatal(err)
	}
	carried := session.Token(s)
	set := strings.Replace(w.Header().Get("Set-Cookie"), carried, "", 1)
	if err := m.RotateSession(ctx); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(info.IdleDeadline.Sub(info.LastSeen), info.AbsoluteDeadline.Sub(info.CreatedAt), set, r.grace, r.MaxSessions,
		m.RefreshInterval, m.RenewAfter, m.MaxUserSessions, m.EndOldest, m.DeviceBound, fmt.Sprint(m.DevicePaths()))
}

// TestTable holds the table of docs/configuration.md and the struct together.
func TestTable(t *testing.T) {
	page, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{
		"config.Secret": "text, secret", "string": "text", "config.Duration": "time span", "int": "number", "bool": "true or false",
		"*bool": "true or false", "config.Former": "list of paths", "config.SameSite": "`lax`, `strict` or `none`",
	}
	rows := make(map[string][]string)
	for line := range strings.SplitSeq(string(page), "\n") {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| `SESSION_") && len(cells) > 1 {
			rows[strings.Trim(cells[0], "|` ")] = cells
		}
	}
	usual := behavior(t, Config{})
	for _, f := range fields(&Config{}) {
		name := inEnv(f.path)
		row := rows[name]
		delete(rows, name)
		if len(row) != 6 {
			t.Errorf("%s has %d columns in the table, want 6", name, len(row))
			continue
		}
		if got := strings.Trim(row[1], "` "); got != f.path {
			t.Errorf("%s: the table says %s for files, the struct %s", name, got, f.path)
		}
		if got, want := strings.TrimSpace(row[2]), kinds[f.value.Type().String()]; got != want {
			t.Errorf("%s: the table says %q, want %q", name, got, want)
		}
		if value, isText := strings.CutPrefix(row[3], "`"); isText { // a default that can be set
			c, err := fromEnv([]string{name + "=" + strings.TrimSuffix(value, "`")})
			if err != nil {
				t.Errorf("%s: the default: %v", name, err)
			} else if got := behavior(t, c); got != usual {
				t.Errorf("%s: the default of the table gives\n%s, want\n%s", name, got, usual)
			}
		}
		tableExample(t, f, strings.Trim(row[4], "` "))
	}
	for name := range rows {
		t.Errorf("%s is in the table and no variable", name)
	}
}

// tableExample sets a variable to its example, with the variables that the row names as
// needed.
func tableExample(t *testing.T, f field, example string) {
	t.Helper()
	name := inEnv(f.path)
	set := []string{name + "=" + example}
	switch f.path {
	case "store":
		return // redis is not imported here; its package tests it
	case "keys":
		set = append(set, "SESSION_STORE=sealed:")
	case "purpose":
		set = append(set, "SESSION_STORE=sealed:", "SESSION_KEYS="+key1)
	case "wait-replicas":
		set = append(set, "SESSION_STORE=redis+other://host")
	case "max-sessions":
	default:
		set = append(set, "SESSION_STORE=other://host")
	}
	switch f.path {
	case "end-oldest":
		set = append(set, "SESSION_MAX_USER_SESSIONS=2")
	case "cookie.path", "cookie.domain", "cookie.former":
		set = append(set, "SESSION_COOKIE_NAME=sid")
	}
	c, err := fromEnv(set)
	if err != nil {
		t.Errorf("%s: the example: %v", name, err)
		return
	}
	for _, other := range fields(&c) {
		if other.path == f.path && other.value.IsZero() {
			t.Errorf("%s: the example changes nothing", name)
		}
	}
}

// The names of a field are the same everywhere.
func TestTags(t *testing.T) {
	for _, of := range []reflect.Type{reflect.TypeFor[Config](), reflect.TypeFor[Cookie]()} {
		for f := range of.Fields() {
			name := f.Tag.Get("json")
			if name == "" || f.Tag.Get("yaml") != name || f.Tag.Get("toml") != name {
				t.Errorf("%s: its names differ: %s", f.Name, f.Tag)
			}
			if want := strings.ToUpper(strings.ReplaceAll(name, "-", "_")); f.Tag.Get("env") != want && f.Tag.Get("envPrefix") != want+"_" {
				t.Errorf("%s: its variable has another name: %s", f.Name, f.Tag)
			}
		}
	}
}

// The errors in docs/configuration.md are those that an operator gets.
func TestTableErrors(t *testing.T) {
	page, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range [][]string{
		{"SESSION_STROE=x", "SESSION_KEYS_FILE=absent", "SESSION_IDLE_TIMEOUT=30"},
		{"SESSION_STORE=other://host", "SESSION_MAX_SESSIONS=3", "SESSION_COOKIE_DOMAIN=example.com"},
	} {
		_, err := fromEnv(set)
		if err == nil {
			t.Fatalf("%v: got no error", set)
		}
		if want := "    " + strings.ReplaceAll(err.Error(), "\n", "\n    ") + "\n"; !strings.Contains(string(page), want) {
			t.Errorf("the page does not have\n%s", want)
		}
	}
}

// TestStoresTable holds the table of stores and what an error says about their packages
// together. examples/login tests that the packages know the schemes.
func TestStoresTable(t *testing.T) {
	page, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n## Stores\n")
	table, _, _ = strings.Cut(table, "\n## ")
	rows := 0
	for row := range strings.Lines(table) {
		_, imports, ok := strings.Cut(row, "| `_ ")
		if !ok {
			continue
		}
		rows++
		imports = strings.TrimSuffix(imports, "` |\n")
		for _, scheme := range regexp.MustCompile("`([a-z+]+):").FindAllStringSubmatch(row, -1) {
			if says := packages(scheme[1]); !strings.HasSuffix(says, imports) {
				t.Errorf("%s: the table says %s, the error%s", scheme[1], imports, says)
			}
		}
	}
	if rows != 4 {
		t.Errorf("got %d rows with packages, want 4", rows)
	}
}
