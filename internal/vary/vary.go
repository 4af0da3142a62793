// Package vary tells caches by what a response varies, for every propagator
// alike.
package vary

import (
	"net/http"
	"strings"
)

// By adds a request header's name to Vary, unless it or * is there already.
func By(h http.Header, name string) {
	for _, line := range h["Vary"] {
		for field := range strings.SplitSeq(line, ",") {
			if field = strings.TrimSpace(field); field == "*" || strings.EqualFold(field, name) {
				return
			}
		}
	}
	h.Add("Vary", name)
}
