package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const missing = "redistest: redis-server is missing: apt-get install redis-server"

// A Binary is a server executable.
type Binary struct {
	Name    string // such as "redis 7.0.15" or "valkey 8.1.1"
	Path    string
	Version string // such as "7.0.15"
}

// Binaries returns the servers to test with, each once: redis-server ($REDIS_SERVER, or
// the one in PATH), then the servers in $REDIS_SERVERS, separated by colons. A missing
// server fails the test.
func Binaries(tb testing.TB) []Binary {
	tb.Helper()
	first, err := defaultBinary()
	if err != nil {
		tb.Fatal(err)
	}
	all := []Binary{first}
	seen := map[string]bool{realPath(first.Path): true}
	for _, path := range filepath.SplitList(os.Getenv("REDIS_SERVERS")) {
		if path == "" || seen[realPath(path)] {
			continue
		}
		seen[realPath(path)] = true
		b, err := identify(path)
		if err != nil {
			tb.Fatalf("redistest: $REDIS_SERVERS: %v", err)
		}
		all = append(all, b)
	}
	return all
}

func defaultBinary() (Binary, error) {
	if path := os.Getenv("REDIS_SERVER"); path != "" {
		b, err := identify(path)
		if err != nil {
			return Binary{}, fmt.Errorf("redistest: $REDIS_SERVER: %w", err)
		}
		return b, nil
	}
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return Binary{}, errors.New(missing)
	}
	return identify(path)
}

// realPath returns a path for comparisons only. redis-server may be a link to
// redis-check-rdb, which behaves according to the name that it is called by.
func realPath(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return path
}

// identified caches the result of identify: asking takes 5 ms, and a start takes 15.
var identified sync.Map //nolint:gochecknoglobals // facts about the machine

// identify asks an executable for its product and version.
func identify(path string) (Binary, error) {
	path, err := filepath.Abs(path) // servers run in other folders
	if err != nil {
		return Binary{}, err
	}
	if b, ok := identified.Load(path); ok {
		return b.(Binary), nil //nolint:forcetypeassert // nothing else is stored
	}
	out, err := exec.CommandContext(context.Background(), path, "--version").Output() //nolint:gosec // the developer's own
	if err != nil {
		return Binary{}, fmt.Errorf("%s --version: %w", path, err)
	}
	// For example: Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=…
	product, rest, _ := strings.Cut(string(out), " ")
	_, rest, found := strings.Cut(rest, "v=")
	version, _, _ := strings.Cut(rest, " ")
	if !found || version == "" {
		return Binary{}, fmt.Errorf("%s --version: not a Redis server: %.80q", path, out)
	}
	b := Binary{Name: strings.ToLower(product) + " " + version, Path: path, Version: version}
	identified.Store(path, b)
	return b, nil
}

// major returns the first number of the version.
func (b Binary) major() int {
	first, _, _ := strings.Cut(b.Version, ".")
	n, _ := strconv.Atoi(first) // an unreadable version counts as old
	return n
}
