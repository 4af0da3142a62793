package session

import "context"

// flash holds messages until somebody reads them.
//
//nolint:gochecknoglobals // a constant in effect
var flash = NewKey[[]string]("mist-contrib/session.flash")

const (
	maxFlashes   = 64
	maxFlashSize = 16 << 10
)

// AddFlash leaves a message for the next page that calls [Flashes], which may be
// of another request: "saved", after a redirect. A session keeps the newest 64
// messages, of 16 KiB together, or the newest alone if it is longer; AddFlash drops
// those before them. Errors as for [Update].
func AddFlash(ctx context.Context, s Session, message string) error {
	return flash.Update(ctx, s, func(old []string) ([]string, error) {
		kept, size := 0, len(message)
		for kept < min(len(old), maxFlashes-1) {
			if size += len(old[len(old)-1-kept]); size > maxFlashSize {
				break
			}
			kept++
		}
		return append(old[len(old)-kept:], message), nil
	})
}

// Flashes takes out the messages that AddFlash left in s, the oldest first. Each
// is given to exactly one of all requests that ask; where this session shows none
// the store is not asked. A page that a browser prefetches empties them, too; such a
// request says so in its header Sec-Purpose. Errors as for [Pop].
func Flashes(ctx context.Context, s Session) ([]string, error) {
	if shown, ok, err := flash.Get(ctx, s); err != nil || !ok {
		return shown, err
	}
	messages, _, err := flash.Pop(ctx, s)
	return messages, err
}
