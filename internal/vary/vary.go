// Package vary sets the Vary header for all propagators.
package vary

import (
	"net/http"
	"strings"
)

// By adds the name of a request header to Vary, unless Vary already has it or *.
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
