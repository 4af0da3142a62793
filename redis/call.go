package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
)

// errNotReplicated means that fewer replicas than WaitReplicas confirmed a write in time.
var errNotReplicated = errors.New("fewer replicas than WaitReplicas have the write")

// write sends a command that changes a record. It returns when WaitReplicas replicas have
// the change.
func (st *Store) write(ctx context.Context, key string, cmd goredis.Cmder) error {
	if st.WaitReplicas == 0 {
		return st.Client.Process(ctx, cmd)
	}
	// WAIT counts only writes of its own connection, so it must go to the master of the key
	// together with the command.
	for {
		err := st.replicated(ctx, key, cmd)
		c, ok := st.Client.(cluster)
		if !ok || !goredis.HasErrorPrefix(err, "MOVED") {
			return err // also ASK: only the client itself can follow it
		}
		c.ReloadState(ctx) // then try again: MOVED means that nothing was done
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func (st *Store) replicated(ctx context.Context, key string, cmd goredis.Cmder) error {
	master := st.Client
	if c, ok := master.(cluster); ok {
		node, err := c.MasterForKey(ctx, key)
		if err != nil {
			return err
		}
		master = node
	}
	deadline, _ := ctx.Deadline() // every call has one, see begin
	limit := max(1, (time.Until(deadline) * 3 / 4).Milliseconds())
	wait := goredis.NewIntCmd(ctx, "wait", st.WaitReplicas, limit)
	_, err := master.Pipelined(ctx, func(p goredis.Pipeliner) error {
		_ = p.Process(ctx, cmd)
		_ = p.Process(ctx, wait)
		return nil
	})
	switch {
	case cmd.Err() != nil:
		return cmd.Err()
	case err != nil:
		return err
	case wait.Val() < int64(st.WaitReplicas):
		return errNotReplicated
	}
	return nil
}

// pipelineSize is how many commands pipeline sends before it reads the replies.
const pipelineSize = 4096

// pipeline sends n repeatable commands in pipelines. It repeats a failed command once by itself,
// because its key may have moved to another server. It passes each successful command to
// use. It returns the first error that remains, and still sends the other commands.
func pipeline[C goredis.Cmder](ctx context.Context, st *Store, op string, n int, command func(i int) C, use func(i int, cmd C)) error {
	var failure error
	for at := 0; at < n; at += pipelineSize {
		cmds := make([]C, min(pipelineSize, n-at))
		_, err := st.Client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for i := range cmds {
				cmds[i] = command(at + i)
				_ = p.Process(ctx, cmds[i])
			}
			return nil
		})
		for i, cmd := range cmds {
			if cmd.Err() != nil {
				err = nil // this command reports it
				if failure == nil && ctx.Err() == nil {
					cmd = command(at + i)
					_ = st.Client.Process(ctx, cmd)
				}
			}
			if cmd.Err() == nil {
				use(at+i, cmd)
			} else if failure == nil {
				failure = st.wrapError(ctx, op, cmd.Err())
			}
		}
		if err != nil && failure == nil {
			failure = st.wrapError(ctx, op, err)
		}
	}
	return failure
}

// pause gives a Cluster time to announce where its keys are.
func pause(ctx context.Context) error {
	t := time.NewTimer(10 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wrapError turns an error of the client into the error of a call.
func (st *Store) wrapError(ctx context.Context, op string, err error) error {
	var answer goredis.Error
	answered := errors.As(err, &answer)
	if c, ok := st.Client.(cluster); ok && !answered && !errors.Is(err, context.Canceled) {
		c.ReloadState(ctx) // another server may have replaced a dead one
	}
	f := &opError{op: op, cause: err}
	switch deadline, _ := ctx.Deadline(); {
	case ctx.Err() != nil:
		f.ended = ctx.Err()
	case isTimeout(err) && time.Until(deadline) <= 0:
		f.ended = context.DeadlineExceeded // the connection timed out just before the context
	}
	if answered {
		f.code = code(answer.Error())
	}
	return f
}

// code returns the first word of a Redis error, such as OOM. Before Redis 7 the error of a
// command in a script follows the error of the script.
func code(answer string) string {
	if _, inner, ok := strings.Cut(answer, ": -"); ok {
		answer = inner
	}
	word, _, _ := strings.Cut(answer, " ")
	return word
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// An opError means that Redis failed or could not be reached.
type opError struct {
	op    string
	cause error
	ended error  // why the context ended, if it did
	code  string // the first word of the reply of Redis, if there was one
}

func (f *opError) Error() string {
	if f.code != "" {
		return fmt.Sprintf("redis: %s: answered %s", f.op, f.code)
	}
	return fmt.Sprintf("redis: %s: %v", f.op, f.cause)
}

func (f *opError) Unwrap() []error {
	if f.ended != nil {
		return []error{f.cause, f.ended}
	}
	return []error{f.cause}
}

// Is reports a match with [session.ErrFull] if Redis is out of memory.
func (f *opError) Is(target error) bool {
	return target == session.ErrFull && f.code == "OOM"
}
