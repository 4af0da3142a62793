package redis

import "github.com/mist-contrib/session"

// An account describes the login of a session: the user, how and when they logged in.
type account struct {
	user               string
	level              session.Level
	authenticated      int64
	persistent         bool
	address, userAgent string
}

// parseAccount reads the fields of a login. An anonymous session has none of them.
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
	authenticated, err2 := number(fields["l"])
	p, persistent := fields["p"]
	address, userAgent, known := joinDevice(fields)
	l := session.Login{User: user, Address: address, UserAgent: userAgent}
	if err1 != nil || err2 != nil || level < 1 || level > 255 || persistent && p != "1" || !known || l.Check() != nil {
		return nil, false
	}
	return &account{user, session.Level(level), authenticated, persistent, address, userAgent}, true
}

// The store splits the device of a login into pieces: by default one value over 64 bytes
// doubles the memory of a hash.
const (
	pieceSize = 64
	maxPieces = 6
)

// pieceNames lists the fields that hold the pieces.
//
//nolint:gochecknoglobals // Go has no constant arrays
var pieceNames = [maxPieces]string{"d0", "d1", "d2", "d3", "d4", "d5"}

// splitDevice returns the pieces of a device, or none if address and userAgent are empty.
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

// joinDevice puts the pieces together again.
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
