package redis_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/dormoron/mist"
	goredis "github.com/redis/go-redis/v9"
)

// secrets matches the secret of a token, also in what is no text.
var chaosSecrets = regexp.MustCompile(`[A-Z2-7]{26}`)

// A chaosLogger looks for tokens in all that the process logs.
type chaosLogger struct {
	mu    sync.Mutex
	leaks int
	first string
}

var chaosLog chaosLogger

// Before any test: go-redis and mist take a logger only while nothing uses them.
var _ = func() bool {
	goredis.SetLogger(&chaosLog)
	mist.SetDefaultLogger(mist.NewStdLogger(mist.LevelDebug, &chaosLog))
	log.SetOutput(io.MultiWriter(os.Stderr, &chaosLog)) // that of slog, too
	return true
}()

func (l *chaosLogger) Write(p []byte) (int, error) {
	if chaosSecrets.Match(p) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.leaks++; l.leaks == 1 {
			l.first = chaosSecrets.ReplaceAllString(string(p), "SECRET")
		}
	}
	return len(p), nil
}

// Printf is for go-redis, which is silent otherwise: broken connections are what
// these tests are about.
func (l *chaosLogger) Printf(_ context.Context, format string, v ...any) {
	_, _ = fmt.Fprintf(l, format, v...)
}

func (l *chaosLogger) leaked() (n int, first string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leaks, l.first
}

// watch looks into Redis again and again.
func (c *chaos) watch(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(300 * time.Millisecond):
			c.scan()
		}
	}
}

// A chaosRecord is what one key holds. Times are of Redis, in milliseconds.
type chaosRecord struct {
	key, kind               string
	now, left, born, oldest int64
}

// allRecords returns what is in Redis at one moment.
const chaosAllRecords = `
local clock, all = redis.call('TIME'), {}
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind, born, oldest = redis.call('TYPE', key).ok, 0, 0
  if kind == 'hash' then
    born, oldest = tonumber(redis.call('HGET', key, 'c') or 0), tonumber(redis.call('HGET', key, 'a') or 0)
  end
  all[#all + 1] = {key, kind, now, redis.call('PTTL', key), born, oldest}
end
return all`

// scan looks at all records, past the proxy. Nothing happens where the server
// does not answer.
func (c *chaos) scan() {
	at := chaosAttempt{from: c.now()}
	reply, err := c.server.Do("EVAL", chaosAllRecords, "0")
	if err != nil {
		return
	}
	at.to = c.now()
	rows, _ := reply.([]any)
	records := make([]chaosRecord, 0, len(rows))
	for _, row := range rows {
		f := row.([]any)
		records = append(records, chaosRecord{
			f[0].(string), f[1].(string), f[2].(int64), f[3].(int64), f[4].(int64), f[5].(int64),
		})
	}
	if n, line := chaosLog.leaked(); n > 0 {
		c.violate(10, "%d lines of the log hold a token, such as %q", n, line)
	}
	c.judgeRecords(records)
	c.model.judgeRecords(at, records)
	if slow, err := c.server.Do("SLOWLOG", "GET", "500"); err == nil && chaosSecrets.MatchString(fmt.Sprint(slow)) {
		c.violate(10, "an argument of a command holds the secret of a token")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scans++
}

func (c *chaos) judgeRecords(records []chaosRecord) {
	absolute := chaosAbsolute().Milliseconds()
	for _, r := range records {
		switch {
		case r.kind != "hash" || !strings.HasPrefix(r.key, "session:"):
			c.violate(6, "a %s that is no record of a session", r.kind)
		case r.left < 0:
			c.violate(4, "a record has no expiry (%d)", r.left)
		case r.left > absolute || r.now+r.left > r.born+absolute || r.oldest != absolute:
			c.violate(4, "a record that is %d ms old has %d ms left, of %d", r.now-r.born, r.left, absolute)
		}
	}
}

// searchRedis looks for secrets in all that is stored, also in files.
func (c *chaos) searchRedis() {
	all := c.server.MustDo(c.t, "EVAL", `
local all = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  all[#all + 1] = {key, redis.call('HGETALL', key)}
end
return all`, "0")
	if chaosSecrets.MatchString(fmt.Sprint(all)) {
		c.violate(10, "a record holds the secret of a token")
	}
	reply, _ := c.server.MustDo(c.t, "CONFIG", "GET", "dir").([]any)
	files := 0
	err := filepath.WalkDir(reply[1].(string), func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if chaosSecrets.Match(content) {
			c.violate(10, "%s holds the secret of a token", entry.Name())
		}
		files++
		return err
	})
	if err != nil || files == 0 {
		c.t.Errorf("%d files of Redis, %v", files, err)
	}
}
