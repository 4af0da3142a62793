package sql

import (
	"errors"
	"fmt"
	"testing"
)

// Errors as the drivers of SQLite have them.
type (
	methodError struct{ text string }
	fieldError  struct{ Code uint16 }
)

func (e *methodError) Error() string { return e.text }

func (*methodError) Code() int { return 517 }

func (fieldError) Error() string { return "busy" }

// TestSQLiteCode: the code of an error is known, whatever the driver.
func TestSQLiteCode(t *testing.T) {
	t.Parallel()
	st := &Store{dialect: &sqlite}
	for want, err := range map[string]error{
		"":      errors.New("no code"),
		"5":     &methodError{"busy"},
		noTable: &methodError{"SQL logic error: no such table: x"},
		"6":     fmt.Errorf("wrapped: %w", fieldError{262}),
		"13":    errors.Join(errors.New("first"), fmt.Errorf("wrapped: %w", fieldError{13})),
	} {
		if got := st.code(err); got != want {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
}
