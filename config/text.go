package config

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/mist-contrib/session/cookie"
)

// A valueError says which values a field accepts. It does not quote the value, which may be a
// misplaced secret.
type valueError string

func (e valueError) Error() string { return "want " + string(e) }

const (
	errDuration = valueError("a time with its unit, such as 90s, 30m or 12h")
	errSameSite = valueError("lax, strict or none")
	errFormer   = valueError("paths, each behind its domain if there is one, such as /app, example.com/")
	errSecret   = valueError("the secret, not the text that is printed in its place")
	errText     = valueError("text")
	errBool     = valueError("true or false")
	errInt      = valueError("a whole number")
	errFields   = valueError("a group of fields")
)

// A Duration is a time with its unit: "90s", "30m", "1h30m". A number without a unit is an
// error, because its unit could only be guessed.
//
// Duration and [SameSite] are structs because one TOML decoder stores a number in any type of
// kind int64 without calling UnmarshalText.
type Duration struct{ time.Duration }

// UnmarshalText reads the format of [time.ParseDuration], with a unit also for zero. No error
// contains the text.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || strings.Trim(string(text), "+-0") == "" { // ParseDuration accepts 0 without a unit
		return errDuration
	}
	d.Duration = parsed
	return nil
}

// MarshalText returns a text that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// A SameSite is "lax", "strict" or "none", see [cookie.Propagator]. Zero: lax.
type SameSite struct{ http.SameSite }

// UnmarshalText reads one of the three words, in upper or lower case. No error contains
// the text.
func (s *SameSite) UnmarshalText(text []byte) error {
	switch strings.ToLower(string(text)) {
	case "lax":
		s.SameSite = http.SameSiteLaxMode
	case "strict":
		s.SameSite = http.SameSiteStrictMode
	case "none":
		s.SameSite = http.SameSiteNoneMode
	default:
		return errSameSite
	}
	return nil
}

// MarshalText returns a text that UnmarshalText reads.
func (s SameSite) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s SameSite) String() string {
	switch s.SameSite {
	case http.SameSiteStrictMode:
		return "strict"
	case http.SameSiteNoneMode:
		return "none"
	case 0, http.SameSiteLaxMode:
		return "lax"
	}
	return "invalid"
}

// Former lists the paths and domains of the cookie in earlier deploys, see
// [cookie.Propagator]. As a text it is a list of paths, separated by commas. A cookie that had
// a domain has the domain in front of its path: "/app, example.com/".
type Former struct{ Cookies []cookie.Former }

// UnmarshalText reads the list. No error contains the text.
func (f *Former) UnmarshalText(text []byte) error {
	f.Cookies = nil
	if len(text) == 0 {
		return nil
	}
	for part := range strings.SplitSeq(string(text), ",") {
		domain, path, ok := strings.Cut(strings.TrimSpace(part), "/")
		c := cookie.Former{Path: "/" + path, Domain: domain}
		if !ok || (&http.Cookie{Name: "former", Path: c.Path, Domain: c.Domain}).Valid() != nil { //nolint:gosec // nobody gets this cookie
			return errFormer
		}
		f.Cookies = append(f.Cookies, c)
	}
	return nil
}

// MarshalText returns a text that UnmarshalText reads.
func (f Former) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

func (f Former) String() string {
	var all []string
	for _, c := range f.Cookies {
		all = append(all, c.Domain+cmp.Or(c.Path, "/"))
	}
	return strings.Join(all, ", ")
}

// A Secret is a text that is never printed: fmt, log/slog and encoders write a placeholder,
// also if the Secret is an unexported field of another struct. The zero value is the empty
// text.
type Secret struct {
	text *string // a pointer, because fmt prints unexported fields without calling their methods
}

const placeholder = "[secret]"

// NewSecret returns a Secret that holds the text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

func (s Secret) reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

func (s Secret) shown() string {
	if s.text == nil {
		return ""
	}
	return placeholder
}

// UnmarshalText stores the text. It fails for the placeholder that MarshalText writes, which
// is never a real secret.
func (s *Secret) UnmarshalText(text []byte) error {
	if string(text) == placeholder {
		return errSecret
	}
	*s = NewSecret(string(text))
	return nil
}

// MarshalText returns a placeholder, or nothing for an empty Secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.shown()), nil }

// Format prints a placeholder for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.shown()) }

// LogValue returns a placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.shown()) }
