package peers_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// A table is printed as Markdown, to be pasted into docs/performance.md.
type table struct{ rows [][]string }

func newTable(head ...string) *table {
	return &table{[][]string{head, slices.Repeat([]string{"---"}, len(head))}}
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) print(title string) {
	fmt.Printf("\n%s\n\n", title)
	for _, row := range t.rows {
		if row[0] == "---" {
			fmt.Println("|" + strings.Join(row, "|") + "|")
			continue
		}
		fmt.Println("| " + strings.Join(row, " | ") + " |")
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// figure writes a number with about three digits.
func figure(v float64) string {
	switch {
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	}
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}

func micros(ns float64) string { return figure(ns / 1e3) }

// setup describes what the figures were taken with.
func setup(b *testing.B) string {
	b.Helper()
	cpu := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, after, ok := strings.Cut(string(text), "model name"); ok {
			line, _, _ := strings.Cut(after, "\n")
			cpu = strings.TrimSpace(strings.TrimLeft(line, "\t :"))
		}
	}
	parts := []string{time.Now().Format(time.DateOnly), runtime.Version(), fmt.Sprintf("%d cores of %s", runtime.NumCPU(), cpu)}
	modules, err := os.ReadFile("../go.mod") // a test binary does not know its modules
	must(b, err)
	for line := range strings.Lines(string(modules)) {
		path, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		_, name, _ := strings.Cut(path, "/")
		switch name {
		case "alexedwards/scs/v2", "alexedwards/scs/goredisstore", "alexedwards/scs/redisstore", "gorilla/sessions", "quasoft/memstore", "rbcervilla/redisstore/v9",
			"gofiber/fiber/v3", "gofiber/storage/redis/v3", "dormoron/mist", "redis/go-redis/v9", "gomodule/redigo":
			parts = append(parts, name+" "+version)
		}
	}
	return strings.Join(parts, "; ")
}
