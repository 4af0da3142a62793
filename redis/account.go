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
		for _, name := range [...]string{"l", "v", "p", "d"} {
			if _, ok := fields[name]; ok {
				return nil, false
			}
		}
		return nil, true
	}
	level, err1 := number(fields["v"])
	since, err2 := number(fields["l"])
	p, persistent := fields["p"]
	address, userAgent, known := splitDevice(fields["d"])
	l := session.Login{User: user, Address: address, UserAgent: userAgent}
	if err1 != nil || err2 != nil || level < 1 || level > 255 || persistent && p != "1" || !known || l.Check() != nil {
		return nil, false
	}
	return &account{user, session.Level(level), since, persistent, address, userAgent}, true
}

// joinDevice is what field d holds of a device.
func joinDevice(address, userAgent string) string {
	if address == "" && userAgent == "" {
		return ""
	}
	return string([]byte{byte(len(address))}) + address + userAgent
}

func splitDevice(d string) (address, userAgent string, ok bool) {
	if d == "" {
		return "", "", true
	}
	n := int(d[0])
	if d = d[1:]; n > len(d) {
		return "", "", false
	}
	return d[:n], d[n:], true
}
