package session

import "context"

//nolint:gochecknoglobals // a constant in effect
var flash = NewKey[[]string]("mist-contrib/session.flash")

const (
	maxFlashes   = 64
	maxFlashSize = 16 << 10
)

// AddFlash stores a message for the next page that calls [Flashes], such as "saved" for
// the page after a redirect. A session keeps the newest 64 messages, up to 16 KiB, and
// always the newest one. AddFlash drops older ones. It returns the errors of [Update].
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

// Flashes removes the messages that AddFlash stored in s and returns them, the oldest
// first. If several requests ask, exactly one of them gets each message. Flashes does not
// ask the store if s shows no message. A page that a browser prefetches takes them too:
// its request has the header Sec-Purpose. Flashes returns the errors of [Pop].
func Flashes(ctx context.Context, s Session) ([]string, error) {
	if shown, ok, err := flash.Get(ctx, s); err != nil || !ok {
		return shown, err
	}
	messages, _, err := flash.Pop(ctx, s)
	return messages, err
}
