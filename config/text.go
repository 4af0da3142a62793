package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// A Duration is a time span as people write it: "30m", "12h", "1h30m". A number without a
// unit is an error, and so is a negative one.
type Duration time.Duration

// UnmarshalText reads what [time.ParseDuration] reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	switch {
	case err != nil:
		return fmt.Errorf("%.40q is no time span; write 90s, 30m or 12h", text)
	case parsed < 0:
		return fmt.Errorf("%v is negative", parsed)
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string { return time.Duration(d).String() }

// A SameSite is "lax", "strict" or "none". Zero: the default of the cookie, lax.
type SameSite http.SameSite

//nolint:gochecknoglobals // never changes
var sameSites = map[string]http.SameSite{
	"lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode,
}

// UnmarshalText reads one of the three names, in any case.
func (s *SameSite) UnmarshalText(text []byte) error {
	mode, ok := sameSites[strings.ToLower(string(text))]
	if !ok {
		return fmt.Errorf("%.40q is none of lax, strict and none", text)
	}
	*s = SameSite(mode)
	return nil
}

// MarshalText writes what UnmarshalText reads; nothing for zero.
func (s SameSite) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s SameSite) String() string {
	for name, mode := range sameSites {
		if http.SameSite(s) == mode {
			return name
		}
	}
	return ""
}

// A Secret is text that nothing prints: not fmt, not slog, no encoder.
type Secret string

const hidden = "[secret]"

var errHidden = errors.New("is a secret that something has printed, and not the secret")

// UnmarshalText reads the secret.
func (s *Secret) UnmarshalText(text []byte) error {
	if string(text) == hidden {
		return errHidden
	}
	*s = Secret(text)
	return nil
}

func (s Secret) shown() string {
	if s == "" {
		return ""
	}
	return hidden
}

// MarshalText hides the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.shown()), nil }

// Format hides the secret, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.shown()) }

// LogValue hides the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.shown()) }
