package redistest

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// A scanner finds the ends of the values in a RESP stream that comes in arbitrary pieces.
type scanner struct {
	left int    // values missing from the current one; 0: between two values
	bulk int    // bytes missing from the current string
	line []byte // the received part of the current line
}

var errNotRESP = errors.New("redistest: not RESP")

// next returns how many bytes belong to the current value, and whether it ends there.
func (s *scanner) next(b []byte) (n int, done bool, err error) {
	if s.left == 0 {
		s.left = 1
	}
	for n < len(b) {
		if s.bulk > 0 {
			k := min(s.bulk, len(b)-n)
			n += k
			if s.bulk -= k; s.bulk == 0 {
				s.left--
			}
		} else {
			end := bytes.IndexByte(b[n:], '\n')
			if end < 0 {
				s.line = append(s.line, b[n:]...)
				return len(b), false, nil
			}
			s.line = append(s.line, b[n:n+end]...)
			n += end + 1
			err := s.header(strings.TrimSuffix(string(s.line), "\r"))
			if s.line = s.line[:0]; err != nil {
				return n, false, err
			}
		}
		if s.left == 0 {
			return n, true, nil
		}
	}
	return n, false, nil
}

// header reads the first line of a value.
func (s *scanner) header(line string) error {
	if line == "" {
		return errNotRESP
	}
	switch line[0] {
	case '+', '-', ':', '_', '#', ',', '(':
		s.left--
		return nil
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil {
		return errNotRESP
	}
	switch line[0] {
	case '$', '=', '!':
		if n < 0 {
			s.left--
		} else {
			s.bulk = n + len("\r\n")
		}
	case '*', '~', '>':
		s.left += max(n, 0) - 1
	case '%':
		s.left += 2*n - 1
	case '|': // attributes precede a value and do not count as one
		s.left += 2 * n
	default:
		return errNotRESP
	}
	return nil
}

// commandName returns the command of a request, in lower case.
func commandName(request []byte) string {
	// For example: *2\r\n$3\r\nGET\r\n…
	parts := bytes.SplitN(request, []byte("\r\n"), 4)
	if len(parts) < 4 {
		return ""
	}
	return string(bytes.ToLower(parts[2]))
}

// Named returns a function for [Proxy.Match] that matches these commands, in lower case.
func Named(commands ...string) func(request []byte) bool {
	return func(request []byte) bool { return slices.Contains(commands, commandName(request)) }
}
