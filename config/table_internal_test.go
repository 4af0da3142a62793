package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestTable holds the table of docs/configuration.md and the struct together.
func TestTable(t *testing.T) {
	page, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{
		"config.Secret": "text, secret", "string": "text", "config.Duration": "time span", "int": "number", "bool": "true or false",
		"*bool": "true or false", "config.SameSite": "`lax`, `strict` or `none`",
	}
	rows := make(map[string][]string)
	for line := range strings.SplitSeq(string(page), "\n") {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| `SESSION_") && len(cells) > 1 {
			rows[strings.Trim(cells[0], "|` ")] = cells
		}
	}
	fields := variables(reflect.TypeFor[Config](), prefix)
	for name, field := range fields {
		row := rows[name]
		if len(row) != 6 {
			t.Errorf("%s has %d columns in the table, want 6", name, len(row))
			continue
		}
		if file := strings.Trim(row[1], "` "); file[strings.LastIndex(file, ".")+1:] != field.Tag.Get("json") {
			t.Errorf("%s: the table says %s for files, the struct %s", name, file, field.Tag.Get("json"))
		}
		if kind := kinds[field.Type.String()]; strings.TrimSpace(row[2]) != kind {
			t.Errorf("%s: the table says %q, want %q", name, row[2], kind)
		}
		for _, tag := range []string{"yaml", "toml"} {
			if field.Tag.Get(tag) != field.Tag.Get("json") {
				t.Errorf("%s: %s and json have different names", name, tag)
			}
		}
		// The example of the row is right, with what it says it needs.
		set := []string{"SESSION_STORE=other://host", "SESSION_MAX_USER_SESSIONS=2"}
		switch name {
		case "SESSION_KEYS", "SESSION_MAX_SESSIONS":
			set = []string{"SESSION_STORE=" + map[string]string{"SESSION_KEYS": "sealed:", "SESSION_MAX_SESSIONS": "memory:"}[name]}
		case "SESSION_STORE":
			continue // redis is not imported here
		case "SESSION_COOKIE_PATH", "SESSION_COOKIE_DOMAIN":
			set = append(set, "SESSION_COOKIE_NAME=sid")
		}
		if _, err := fromEnv(append(set, name+"="+strings.Trim(row[4], "` "))); err != nil {
			t.Errorf("%s: the example: %v", name, err)
		}
	}
	for name := range rows {
		if fields[name] == nil {
			t.Errorf("%s is in the table and no variable", name)
		}
	}
}
