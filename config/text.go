package config

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// A wanted says what a field takes. It is the only reason that an error about a value gives:
// the value itself may be a secret that stands in the wrong place.
type wanted string

func (w wanted) Error() string { return "want " + string(w) }

const (
	wantDuration = wanted("a time with its unit that is not negative, such as 90s, 30m or 12h")
	wantSameSite = wanted("lax, strict or none")
	wantSecret   = wanted("the secret, not the text that is printed in its place")
	wantString   = wanted("text")
	wantBool     = wanted("true or false")
	wantInt      = wanted("a whole number")
	wantFields   = wanted("fields of its own")
)

// A Duration is a time as people write it: "90s", "30m", "1h30m". A number without a unit
// is an error, because nobody knows its unit, and so is a negative time.
type Duration time.Duration

// UnmarshalText reads what [time.ParseDuration] reads. No error contains the text.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed < 0 || strings.Trim(string(text), "+-0") == "" { // it reads 0 without a unit
		return wantDuration
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string { return time.Duration(d).String() }

// A SameSite is "lax", "strict" or "none", see [cookie.Propagator]. Zero: lax.
type SameSite http.SameSite

// UnmarshalText reads one of the three words in upper or lower case. No error contains the text.
func (s *SameSite) UnmarshalText(text []byte) error {
	for _, mode := range []http.SameSite{http.SameSiteLaxMode, http.SameSiteStrictMode, http.SameSiteNoneMode} {
		if strings.EqualFold(string(text), SameSite(mode).String()) {
			*s = SameSite(mode)
			return nil
		}
	}
	return wantSameSite
}

// MarshalText writes what UnmarshalText reads.
func (s SameSite) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s SameSite) String() string {
	switch http.SameSite(s) {
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
		return wantSecret
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
