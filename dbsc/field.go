package dbsc

import (
	"net/http"
	"strings"
)

// maxField is the longest header field that field reads. A proof with an RSA key of 4096
// bits has under 3000 bytes.
const maxField = 4096

// field returns the value of a header field that occurs once. It accepts a bare value and a
// string of structured fields (RFC 9651, 3.3.3), because browsers differ from the draft. The
// values of this protocol contain no character that such a string has to escape.
func field(header http.Header, name string) (value string, ok bool) {
	lines := header.Values(name)
	if len(lines) != 1 || len(lines[0]) > maxField {
		return "", false
	}
	value = strings.Trim(lines[0], " \t")
	if quoted, is := strings.CutPrefix(value, `"`); is {
		if value, ok = strings.CutSuffix(quoted, `"`); !ok {
			return "", false
		}
	}
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
	return value, value != "" && !strings.ContainsFunc(value, func(r rune) bool { return !strings.ContainsRune(plain, r) })
}
