// Package private sets response headers that only one client may receive.
package private

import (
	"net/http"
	"strings"
)

// Set sets the lines of a response header to before and line. So that no cache gives the
// response to another client, it also sets Cache-Control: no-store, and adds the request
// header by to Vary.
func Set(h http.Header, name string, before []string, line, by string) {
	lines := []string{line, "no-store", by} // one allocation for three headers
	h[name], h["Cache-Control"] = lines[:1:1], lines[1:2:2]
	if len(before) > 0 {
		h[name] = append(before, line)
	}
	switch {
	case varies(h, by):
	case len(h["Vary"]) == 0:
		h["Vary"] = lines[2:]
	default:
		h.Add("Vary", by)
	}
}

// varies reports whether Vary already has the request header by, or *.
func varies(h http.Header, by string) bool {
	for _, line := range h["Vary"] {
		for field := range strings.SplitSeq(line, ",") {
			if field = strings.TrimSpace(field); field == "*" || strings.EqualFold(field, by) {
				return true
			}
		}
	}
	return false
}
