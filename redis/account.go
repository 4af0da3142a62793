package redis

import "github.com/mist-contrib/session"

// An account is who is logged in to a session.
type account struct {
	user               string
	level              session.Level
	since              int64
	persistent         bool
	address, userAgent string
}

// parseAccount reads the fields of a login. Of a session where nobody is logged in
// there are none.
func parseAccount(fields map[string]string) (a *account, ok bool) {
	user, loggedIn := fields["u"]
	if !loggedIn {
		for _, name := range [...]string{"l", "v", "p", "d0"} {
			if _, ok := fields[name]; ok {
				return nil, false
			}
		}
		return nil, true
	}
	level, err1 := number(fields["v"])
	since, err2 := number(fields["l"])
	p, persistent := fields["p"]
	address, userAgent, known := joinDevice(fields)
	l := session.Login{User: user, Address: address, UserAgent: userAgent}
	if err1 != nil || err2 != nil || level < 1 || level > 255 || persistent && p != "1" || !known || l.Check() != nil {
		return nil, false
	}
	return &account{user, session.Level(level), since, persistent, address, userAgent}, true
}

// The device of a login is kept in pieces, because one value over 64 bytes, by
// default, makes a hash take twice the memory.
const (
	pieceSize = 64
	maxPieces = 6
)

// pieceNames are the fields of the pieces.
//
//nolint:gochecknoglobals // a constant, but for the language
var pieceNames = [maxPieces]string{"d0", "d1", "d2", "d3", "d4", "d5"}

// splitDevice returns the pieces of a device, none if nothing is known of it.
func splitDevice(address, userAgent string) (pieces []string) {
	if address == "" && userAgent == "" {
		return nil
	}
	device := string([]byte{byte(len(address))}) + address + userAgent //nolint:gosec // at most 64, see Login.Check
	for len(device) > pieceSize {
		pieces, device = append(pieces, device[:pieceSize]), device[pieceSize:]
	}
	return append(pieces, device)
}

// joinDevice reads the pieces.
func joinDevice(fields map[string]string) (address, userAgent string, ok bool) {
	var device string
	for _, name := range pieceNames {
		device += fields[name]
	}
	if device == "" {
		return "", "", true
	}
	n := int(device[0])
	if device = device[1:]; n > len(device) {
		return "", "", false
	}
	return device[:n], device[n:], true
}
