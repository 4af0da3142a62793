package redis_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/program"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// TestForgottenScripts runs programs on a server that forgets all scripts
// between any two steps: what they answer must not differ.
func TestForgottenScripts(t *testing.T) {
	t.Parallel()
	d := newComparison(t)
	d.Before = func() { d.client.ScriptFlush(t.Context()) }
	d.playSeeds(t, 1000, 5)
}

// scriptsOf are the scripts of a store by their hashes, as it sends them.
func scriptsOf(t *testing.T) map[string]string {
	t.Helper()
	w, client := wired(t, redistest.Start(t))
	if err := doEverything(t.Context(), &redis.Store{Client: client, OpTimeout: time.Minute}, "id"); err != nil {
		t.Fatal(err)
	}
	scripts := make(map[string]string)
	for _, words := range w.take(t) {
		if words[0] == "eval" {
			scripts[hashOf(words[1])] = words[1]
		}
	}
	return scripts
}

// TestScriptGlobals reads what the scripts compile to: a name that is not
// declared fails on the server, but only in the branch that uses it.
func TestScriptGlobals(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	compile := func(source string) (read, written []string) {
		code, ok := server.MustDo(t, "EVAL", "return string.dump(assert(loadstring(ARGV[1])))", 0, source).(string)
		if !ok || !strings.HasPrefix(code, "\x1bLuaQ\x00\x01\x04\x08\x04\x08\x00") {
			t.Fatal("no code of Lua 5.1 for 64 bits, little-endian")
		}
		c := chunk{code: code[12:]}
		c.function()
		return c.read, c.written
	}
	if read, written := compile("local a = b; return function() c = d end"); !slices.Equal(read, []string{"b", "d"}) || !slices.Equal(written, []string{"c"}) {
		t.Fatalf("the test is wrong: found %q read, %q written", read, written)
	}
	scripts := scriptsOf(t)
	known := []string{"redis", "KEYS", "ARGV", "tonumber", "type", "ipairs", "unpack", "math", "string", "table"}
	for _, source := range scripts {
		name, _, _ := strings.Cut(source[strings.LastIndex(source, "\n\n--")+1:], "\n")
		read, written := compile(source)
		for _, global := range read {
			if !slices.Contains(known, global) {
				t.Errorf("%s: reads the global %s", name, global)
			}
		}
		if len(written) > 0 {
			t.Errorf("%s: writes the globals %q", name, written)
		}
		if !slices.Contains(read, "KEYS") {
			t.Errorf("%s: does not read KEYS", name)
		}
	}
	files, err := filepath.Glob("scripts/*.lua")
	if err != nil || len(files) != len(scripts)+2 {
		t.Errorf("got %d scripts and %d files, %v, want one of each, and two that they share", len(scripts), len(files), err)
	}
	var shared []string
	for _, file := range []string{"scripts/users.lua", "scripts/values.lua"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		shared = append(shared, string(source))
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		matches, first := 0, slices.Contains(shared, string(source))
		for _, script := range scripts {
			own := strings.TrimPrefix(strings.TrimPrefix(script, shared[0]), shared[1])
			if first && strings.Contains(strings.TrimSuffix(script, own), string(source)) || own == string(source) {
				matches++
			}
		}
		if matches == 0 || matches > 1 && !first {
			t.Errorf("%s is %d scripts", file, matches)
		}
	}
}

// A chunk is code of Lua 5.1 that is being read, and the globals that it names.
type chunk struct {
	code          string
	read, written []string
}

func (c *chunk) bytes(n int) string {
	b := c.code[:n]
	c.code = c.code[n:]
	return b
}

func (c *chunk) int() int { return int(binary.LittleEndian.Uint32([]byte(c.bytes(4)))) }

func (c *chunk) string() string {
	n := int(binary.LittleEndian.Uint64([]byte(c.bytes(8))))
	return strings.TrimSuffix(c.bytes(n), "\x00")
}

func (c *chunk) function() {
	c.string() // the source
	c.bytes(4 + 4 + 4)
	code := c.bytes(4 * c.int())
	constants := make([]string, c.int())
	for i := range constants {
		switch c.bytes(1) {
		case "\x01": // a boolean
			c.bytes(1)
		case "\x03": // a number
			c.bytes(8)
		case "\x04":
			constants[i] = c.string()
		}
	}
	for at := 0; at < len(code); at += 4 {
		switch word := binary.LittleEndian.Uint32([]byte(code[at:])); word & 63 {
		case 5: // GETGLOBAL
			c.read = append(c.read, constants[word>>14])
		case 7: // SETGLOBAL
			c.written = append(c.written, constants[word>>14])
		}
	}
	for range c.int() {
		c.function()
	}
	c.bytes(4 * c.int()) // lines
	for range c.int() {
		c.string() // a local
		c.bytes(4 + 4)
	}
	for range c.int() {
		c.string() // an upvalue
	}
}

// TestScriptKeys watches the server: a script touches no key that was not named to it
// beforehand. Some proxies and servers refuse that, and on a Cluster it can be a key of
// another server.
func TestScriptKeys(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	monitor, err := net.Dial("tcp", server.Addr)
	if err == nil {
		_, err = fmt.Fprint(monitor, "MONITOR\r\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = monitor.Close() }()
	lines := bufio.NewReader(monitor)
	if first, err := lines.ReadString('\n'); first != "+OK\r\n" || err != nil {
		t.Fatalf("MONITOR: got %q, %v", first, err)
	}
	end := make(chan struct{})
	st := &redis.Store{Client: newClient(t, unhurried(server.Addr)), OpTimeout: time.Minute}
	go func() {
		defer close(end)
		if err := doEverything(t.Context(), st, "id"); err != nil {
			t.Error(err)
		}
		for seed := range uint64(10) {
			sd := &program.Subject{Store: &redis.Store{Client: st.Client, Prefix: fmt.Sprint(seed, "{:"), OpTimeout: time.Minute}}
			for _, step := range program.Steps(program.Random(6000+seed, 150)) {
				sd.Do(t.Context(), step)
			}
		}
		if _, err := server.Do("ECHO", "the end"); err != nil {
			t.Error(err)
		}
	}()
	defer func() { <-end }()

	scripts, ran, touched := scriptsOf(t), make(map[string]int), 0
	var declared []string
	var running string
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		inScript, words := monitored(t, line)
		switch {
		case inScript:
			for _, key := range touches(t, words) {
				touched++
				if !slices.Contains(declared, key) {
					t.Errorf("%s: %s of a key that was not declared", running, words[0])
				}
			}
		case strings.HasPrefix(strings.ToLower(words[0]), "eval"):
			declared, running = keysIn(t, words), words[1]
			if words[0] == "eval" {
				running = hashOf(running)
			}
			ran[running]++
		case slices.Equal(words, []string{"ECHO", "the end"}):
			if len(ran) != len(scripts) || touched < 1000 {
				t.Errorf("got %d of %d scripts, and %d commands of theirs: the test proves little", len(ran), len(scripts), touched)
			}
			return
		}
	}
}

var (
	monitorLine = regexp.MustCompile(`^\+[0-9.]+ \[[0-9]+ ([^ ]+)\] (.*)\r\n$`)
	monitorWord = regexp.MustCompile(`"(\\.|[^"\\])*"`)
)

// monitored reads a line of MONITOR.
func monitored(t *testing.T, line string) (inScript bool, words []string) {
	t.Helper()
	parts := monitorLine.FindStringSubmatch(line)
	if parts == nil {
		t.Fatalf("got %.200q from MONITOR", line)
	}
	for _, quoted := range monitorWord.FindAllString(parts[2], -1) {
		word, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatal(err)
		}
		words = append(words, word)
	}
	return parts[1] == "lua", words
}

// touches are the keys of a command in a script.
func touches(t *testing.T, words []string) []string {
	t.Helper()
	switch words[0] {
	case "TIME":
		return nil
	case "UNLINK", "EXISTS":
		return words[1:]
	case "GET", "HDEL", "HGET", "HGETALL", "HKEYS", "HMGET", "HSET", "HSTRLEN", "PEXPIRE", "PEXPIREAT", "PTTL", "SET",
		"ZADD", "ZCOUNT", "ZRANGEBYSCORE", "ZREM", "ZREVRANGE", "ZREVRANGEBYSCORE", "ZSCORE":
		return words[1:2]
	}
	t.Errorf("the test does not know the keys of %s", words[0])
	return nil
}
