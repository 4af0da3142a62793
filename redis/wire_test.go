package redis_test

import (
	"crypto/sha1"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session/internal/redistest"
)

// A wire is what a client sends to a server: every request is a round trip,
// whatever the client's hooks and the server's counters think of it.
type wire struct {
	mu       sync.Mutex
	requests []string
}

// wired returns a client whose requests are recorded.
func wired(t *testing.T, server *redistest.Server) (*wire, goredis.UniversalClient) {
	t.Helper()
	w, proxy := new(wire), redistest.NewProxy(t, server.Addr)
	proxy.Match(func(request []byte) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.requests = append(w.requests, string(request))
		return false
	})
	return w, newClient(t, unhurried(proxy.Addr))
}

// take returns the requests since the last time, each as its words, but for what
// belongs to a connection.
func (w *wire) take(t *testing.T) (requests [][]string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, raw := range w.requests {
		var words []string
		_, rest, _ := strings.Cut(raw, "\r\n")
		for rest != "" {
			length, tail, _ := strings.Cut(rest, "\r\n")
			n, err := strconv.Atoi(strings.TrimPrefix(length, "$"))
			if err != nil || n+2 > len(tail) {
				t.Fatal("a request that is no list of words")
			}
			words, rest = append(words, tail[:n]), tail[n+2:]
		}
		if !slices.Contains([]string{"hello", "client", "auth", "select"}, strings.ToLower(words[0])) {
			requests = append(requests, words)
		}
	}
	w.requests = nil
	return requests
}

// keysIn are the keys that a command names.
func keysIn(t *testing.T, words []string) []string {
	t.Helper()
	if !strings.HasPrefix(words[0], "eval") {
		return words[1:2]
	}
	n, err := strconv.Atoi(words[2])
	if err != nil || n < 1 || n > len(words)-3 {
		t.Fatalf("%s of %q keys", words[0], words[2])
	}
	return words[3 : 3+n]
}

// folded leaves out each eval that sends the script of the evalsha before it, and
// counts them, and the scripts.
func folded(requests [][]string) (names string, sent, scripts int) {
	var all, known []string
	for i, words := range requests {
		if words[0] == "evalsha" && !slices.Contains(known, words[1]) {
			known = append(known, words[1])
		}
		if words[0] == "eval" && i > 0 && requests[i-1][1] == hashOf(words[1]) {
			sent++
			continue
		}
		all = append(all, words[0])
	}
	return strings.Join(all, " "), sent, len(known)
}

// hashOf is what Redis calls a script.
func hashOf(source string) string {
	sum := sha1.Sum([]byte(source))
	return hex.EncodeToString(sum[:])
}
