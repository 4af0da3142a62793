package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // how Redis names scripts
	_ "embed"
	"encoding/hex"

	goredis "github.com/redis/go-redis/v9"
)

// A script is one operation on one record, in one step.
type script struct {
	name, source, hash string
	once               bool // must not be sent twice
}

//go:embed scripts/create.lua
var createSource string

//go:embed scripts/present.lua
var presentSource string

//go:embed scripts/refresh.lua
var refreshSource string

//go:embed scripts/set.lua
var setSource string

//go:embed scripts/delete.lua
var deleteSource string

//go:embed scripts/clear.lua
var clearSource string

//go:embed scripts/exchange.lua
var exchangeSource string

// They never change.
//
//nolint:gochecknoglobals // constants, but for the language
var (
	createScript   = newScript("generate", createSource, false)
	presentScript  = newScript("open", presentSource, false)
	refreshScript  = newScript("refresh", refreshSource, false)
	setScript      = newScript("set", setSource, false)
	deleteScript   = newScript("delete", deleteSource, false)
	clearScript    = newScript("clear", clearSource, false)
	exchangeScript = newScript("exchange", exchangeSource, true)
)

func newScript(name, source string, once bool) script {
	sum := sha1.Sum([]byte(source)) //nolint:gosec // how Redis names scripts
	return script{name: name, source: source, hash: hex.EncodeToString(sum[:]), once: once}
}

// A onceCmd is a command that go-redis does not send again when the reply did
// not come.
type onceCmd struct{ *goredis.Cmd }

func (onceCmd) NoRetry() bool { return true }

// eval runs a script on a record and returns its reply. args has room for the
// four words in front, so that nothing is copied: see scriptArgs.
func (st *Store) eval(ctx context.Context, s *script, key string, args []any) (any, error) {
	args[0], args[1], args[2], args[3] = "evalsha", s.hash, 1, key
	for {
		cmd := goredis.NewCmd(ctx, args...)
		var sent goredis.Cmder = cmd
		if s.once {
			sent = onceCmd{cmd}
		}
		err := st.write(ctx, key, sent)
		if err == nil {
			return cmd.Val(), nil
		}
		if !goredis.HasErrorPrefix(err, "NOSCRIPT") || args[0] == "eval" {
			return nil, st.failed(ctx, s.name, err)
		}
		args[0], args[1] = "eval", s.source // this server has not seen it yet
	}
}

// scriptArgs returns arguments for eval, with room for n more.
func scriptArgs(n int) []any {
	return make([]any, 4, 4+n)
}
