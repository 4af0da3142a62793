package session_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A requirement is a row of the table in docs/security.md.
type requirement struct {
	id, status string
	tests      []string // package.Test, or package.Test/part
}

// securityTable reads the table. tools/audit.sh reads it, too.
func securityTable(t *testing.T) (rows []requirement) {
	t.Helper()
	page, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile("`[^`]+`")
	for line := range strings.SplitSeq(string(page), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || !regexp.MustCompile(`^ R\d`).MatchString(cells[1]) {
			continue
		}
		if len(cells) != 7 {
			t.Fatalf("%s has %d columns, want 5", cells[1], len(cells)-2)
		}
		row := requirement{id: strings.TrimSpace(cells[1]), status: strings.TrimSpace(cells[4])}
		for _, name := range code.FindAllString(cells[5], -1) {
			row.tests = append(row.tests, strings.Trim(name, "`"))
		}
		rows = append(rows, row)
	}
	return rows
}

// TestSecurityTable holds docs/security.md to what it is: every requirement once,
// no other status than those that it explains, and no test that does not exist.
func TestSecurityTable(t *testing.T) {
	rows := securityTable(t)
	var got, want []string
	for i := range 55 {
		want = append(want, fmt.Sprintf("R%02d", i+1))
	}
	status := regexp.MustCompile(`^(met by default|met by .*\S|the application's duty: .*\S|not applicable: .*\S|not met: .*\S)`)
	sources := map[string]*source{}
	for _, row := range rows {
		got = append(got, row.id)
		if !status.MatchString(row.status) {
			t.Errorf("%s: %q is no status", row.id, row.status)
		}
		if met := strings.HasPrefix(row.status, "met"); met != (len(row.tests) > 0) {
			t.Errorf("%s is %q and names %d tests", row.id, row.status, len(row.tests))
		}
		for _, name := range row.tests {
			folder, test, ok := strings.Cut(name, ".")
			if !ok {
				t.Errorf("%s: %q is no package.Test", row.id, name)
				continue
			}
			if sources[folder] == nil {
				sources[folder] = parse(t, folder)
			}
			test, part, _ := strings.Cut(test, "/")
			if !sources[folder].tests[test] {
				t.Errorf("%s: %s.%s does not exist", row.id, folder, test)
			}
			if part != "" && !sources[folder].texts[part] {
				t.Errorf("%s: %s has no part %q", row.id, folder, part)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got the rows %q, want R01 to R55", got)
	}
}

// A source is the tests of a package and the texts in it, of which some are
// names of subtests.
type source struct{ tests, texts map[string]bool }

// parse reads the tests of a folder. The parts of a conformance test are the
// rules of the suite.
func parse(t *testing.T, folder string) *source {
	t.Helper()
	dir := filepath.Join("..", folder)
	if folder == "session" {
		dir = ".."
	}
	s := &source{map[string]bool{}, map[string]bool{}}
	own, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
	suite, _ := filepath.Glob("../sessiontest/*.go")
	for i, name := range append(own, suite...) {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if i < len(own) && n.Recv == nil && (strings.HasPrefix(n.Name.Name, "Test") || strings.HasPrefix(n.Name.Name, "Fuzz")) {
					s.tests[n.Name.Name] = true
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
					s.texts[text] = true
				}
			}
			return true
		})
	}
	return s
}
