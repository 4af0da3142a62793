package session_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docsPrelude is what the snippets of a page may use without saying where it
// comes from.
const docsPrelude = `
var (
	manager    *session.Manager
	store      session.Store
	propagator session.Propagator
	memoryStore *memory.Store
	keys       [][]byte
	client     goredis.UniversalClient
	db         *stdsql.DB
	server     *mist.HTTPServer
	staff      *session.Manager
	customers  *session.Manager
	ctx        *mist.Context   // of a handler
	reqctx     context.Context // ctx.Request.Context()
	w          http.ResponseWriter
	r          *http.Request
	s          session.Session
	info       session.Info
	user, id   string
	err        error
)

var cart = session.NewKey[Cart]("cart")

type Cart struct{ Items []string }

func handler(*mist.Context)     {}
func passwordOK(r *http.Request) (user string, ok bool) { return "", false }
`

// docsImports are the packages of the snippets, by the name that they are used by.
var docsImports = map[string]string{
	"context": "context", "errors": "errors", "http": "net/http", "log": "log", "maps": "maps", "slices": "slices", "os": "os", "slog": "log/slog",
	"time": "time",

	"stdsql": "database/sql", "goredis": "github.com/redis/go-redis/v9", "mist": "github.com/dormoron/mist", "uuid": "github.com/google/uuid",

	"dbsc":    "github.com/mist-contrib/session/dbsc",
	"session": "github.com/mist-contrib/session", "cookie": "github.com/mist-contrib/session/cookie",
	"header": "github.com/mist-contrib/session/header", "memory": "github.com/mist-contrib/session/memory",
	"redis": "github.com/mist-contrib/session/redis", "sealed": "github.com/mist-contrib/session/sealed",
	"sql": "github.com/mist-contrib/session/sql", "postgres": "github.com/mist-contrib/session/sql/postgres",
	"mysql": "github.com/mist-contrib/session/sql/mysql", "sqlite": "github.com/mist-contrib/session/sql/sqlite",
	"config": "github.com/mist-contrib/session/config", "sessiontest": "github.com/mist-contrib/session/sessiontest",
}

// A snippet is Go in a page.
type snippet struct {
	line int // of the page
	text string
}

// docsSnippets returns the fenced blocks of Go in a page, and every span of code
// in the last column of its tables.
func docsSnippets(page string) (blocks, spans []snippet) {
	span := regexp.MustCompile("`[^`]+`")
	open, indent := false, ""
	for i, line := range strings.Split(page, "\n") {
		line = strings.TrimPrefix(line, indent)
		switch text := strings.TrimLeft(line, " "); {
		case strings.HasPrefix(text, "```"):
			indent = ""
			if open = text == "```go"; open {
				indent = line[:len(line)-len(text)]
				blocks = append(blocks, snippet{line: i + 2})
			}
		case open:
			blocks[len(blocks)-1].text += line + "\n"
		case strings.HasPrefix(line, "|"):
			cells := strings.Split(strings.TrimSuffix(line, "|"), "|")
			for _, s := range span.FindAllString(cells[len(cells)-1], -1) {
				spans = append(spans, snippet{i + 1, strings.Trim(s, "`")})
			}
		}
	}
	return blocks, spans
}

// inFunction wraps statements in a function that uses all that they declare.
func inFunction(page string, s snippet) (string, error) {
	const head = "package p\nfunc _() {\n"
	file, err := parser.ParseFile(token.NewFileSet(), "", head+s.text+"\n}", 0)
	if err != nil {
		return "", err
	}
	body, uses := s.text, ""
	for _, statement := range file.Decls[0].(*ast.FuncDecl).Body.List {
		switch st := statement.(type) {
		case *ast.ExprStmt:
			if _, call := st.X.(*ast.CallExpr); !call {
				body = "_ = " + body
			}
		case *ast.AssignStmt:
			for _, left := range st.Lhs {
				if name, ok := left.(*ast.Ident); ok && st.Tok == token.DEFINE && name.Name != "_" {
					uses += "_ = " + name.Name + "\n"
				}
			}
		}
	}
	return fmt.Sprintf("func _() {\n//line %s:%d\n%s\n%s}\n", page, s.line, body, uses), nil
}

// TestDocsCompile puts all Go of a page through the compiler, as a package that
// exists for it alone.
func TestDocsCompile(t *testing.T) {
	for name, least := range map[string]struct{ blocks, spans int }{
		"migrating.md": {5, 50}, "recipes.md": {4, 0}, "stores.md": {3, -1}, "configuration.md": {2, -1}, "sql.md": {3, -1},
		"device-bound.md": {3, -1}, "design.md": {0, -1},
	} {
		t.Run(name, func(t *testing.T) { docsCompile(t, name, least.blocks, least.spans) })
	}
}

// TestDocsLinks finds the file or folder of every relative link in a page.
func TestDocsLinks(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) < 9 {
		t.Fatalf("got %d pages of docs (%v), want 9 or more", len(pages), err)
	}
	link := regexp.MustCompile(`\]\(([^)#:"]+)(?:#[^)]*)?\)`)
	for _, name := range append(pages, "../README.md", "../README.zh-CN.md", "../CONTRIBUTING.md", "../SECURITY.md") {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllStringSubmatch(string(page), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), found[1])); err != nil {
				t.Errorf("%s: link to %s: %v", name, found[1], err)
			}
		}
	}
}

// TestDocsNames finds each name that design.md places in a file.
func TestDocsNames(t *testing.T) {
	page, err := os.ReadFile("../docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("`(\\w+)` (?:in |\\()\\[[^]]+\\]\\(([^)#]+)\\)").FindAllStringSubmatch(string(page), -1)
	if len(found) < 15 {
		t.Fatalf("got %d names, want 15 or more", len(found))
	}
	for _, name := range found {
		file, err := os.ReadFile(filepath.Join("../docs", name[2]))
		if err != nil || !regexp.MustCompile(`\b`+name[1]+`\b`).Match(file) {
			t.Errorf("%s is not in %s (%v)", name[1], name[2], err)
		}
	}
}

func docsCompile(t *testing.T, name string, leastBlocks, leastSpans int) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	blocks, spans := docsSnippets(string(page))
	if leastSpans < 0 { // its tables are of something else
		spans = nil
	}
	if len(blocks) < leastBlocks || len(spans) < leastSpans {
		t.Fatalf("got %d blocks and %d spans of Go, want more", len(blocks), len(spans))
	}
	var source strings.Builder
	for _, s := range blocks {
		if formatted, err := format.Source([]byte(s.text)); err != nil || string(formatted) != s.text {
			t.Errorf("%s:%d: not formatted (%v), want\n%s", name, s.line, err, formatted)
		}
		if _, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+s.text, 0); err == nil {
			fmt.Fprintf(&source, "//line %s:%d\n%s", name, s.line, s.text)
			continue
		}
		spans = append(spans, s)
	}
	for _, s := range spans {
		f, err := inFunction(name, s)
		if err != nil {
			t.Errorf("%s:%d: %q is no Go: %v", name, s.line, s.text, err)
		}
		source.WriteString(f)
	}
	if t.Failed() {
		return
	}
	text := docsPrelude + source.String()
	imports := ""
	for name, path := range docsImports {
		if regexp.MustCompile(`\b` + name + `\.`).MatchString(text) {
			imports += fmt.Sprintf("import %s %q\n", name, path)
		}
	}
	docsBuild(t, "package page\n"+imports+text)
}

// docsBuild compiles a file as a package of this module, which sees it by an
// overlay. Without optimization (-N -l) the compiler takes half as long.
func docsBuild(t *testing.T, source string) {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, overlay := filepath.Join(dir, "page.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]any{
		"Replace": map[string]string{filepath.Join(root, "internal", "page", "page.go"): file},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{file: []byte(source), overlay: replace} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-gcflags=-e -N -l", "-overlay", overlay, "./internal/page")
	build.Dir = root
	out, err := build.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
