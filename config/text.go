package config

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// A valueError says what a field takes. An error about a value says no more, because the
// value may be a secret in the wrong place.
type valueError string

func (e valueError) Error() string { return "want " + string(e) }

const (
	errDuration = valueError("a time with its unit, such as 90s, 30m or 12h")
	errSameSite = valueError("lax, strict or none")
	errSecret   = valueError("the secret, not the text that is printed in its place")
	errText     = valueError("text")
	errBool     = valueError("true or false")
	errInt      = valueError("a whole number")
	errFields   = valueError("fields of its own")
)

// A Duration is a time as people write it: "90s", "30m", "1h30m". A number without a unit
// is an error, because nobody knows its unit.
//
// It is a struct because one decoder of TOML stores a number in any type of the kind without
// asking UnmarshalText. So is a [SameSite].
type Duration struct{ time.Duration }

// UnmarshalText reads what [time.ParseDuration] reads. No error contains the text.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || strings.Trim(string(text), "+-0") == "" { // it reads 0 without a unit
		return errDuration
	}
	d.Duration = parsed
	return nil
}

// MarshalText writes what UnmarshalText reads.
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

// MarshalText writes what UnmarshalText reads.
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

// A Secret is text that is never printed: fmt, log/slog and encoders write a placeholder.
// That also holds where the Secret is in an unexported field of another struct. The zero
// value is the empty text.
type Secret struct {
	text *string // behind a pointer, because fmt prints unexported fields without asking their methods
}

const placeholder = "[secret]"

// NewSecret makes a Secret of a text.
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

// UnmarshalText reads the secret. It fails for the placeholder that MarshalText writes,
// because that is the secret of nobody.
func (s *Secret) UnmarshalText(text []byte) error {
	if string(text) == placeholder {
		return errSecret
	}
	*s = NewSecret(string(text))
	return nil
}

// MarshalText writes a placeholder, or nothing for an empty Secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.shown()), nil }

// Format prints a placeholder, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.shown()) }

// LogValue returns a placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.shown()) }
