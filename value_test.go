package session_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
)

type encodedCart struct{ Items map[string][]byte }

func TestEncodeValue(t *testing.T) {
	t.Parallel()
	session.Register[encodedCart]()
	for _, value := range []any{
		true, "", "text", []byte(nil),
		[]byte{0},
		7, uint8(7), 1.5, time.Unix(1, 2).UTC(),
		encodedCart{map[string][]byte{"pear": {1}, "fig": {2}}},
	} {
		encoded, err := session.EncodeValue(value)
		if err != nil {
			t.Fatalf("%T: %v", value, err)
		}
		again, err := session.EncodeValue(value)
		if err != nil || !bytes.Equal(again, encoded) {
			t.Errorf("%T: other bytes for the same value, %v", value, err)
		}
		got, err := session.DecodeValue(encoded)
		clear(encoded)
		if err != nil || !reflect.DeepEqual(got, value) {
			t.Errorf("got %T %[1]v, %v; want %T %[3]v", got, err, value)
		}
	}
	for _, tt := range []struct {
		value any
		want  error
	}{
		{nil, session.ErrValue},
		{struct{ A int }{}, session.ErrValue},
		{strings.Repeat("x", session.MaxValueSize), session.ErrTooLarge},
	} {
		if encoded, err := session.EncodeValue(tt.value); !errors.Is(err, tt.want) || encoded != nil {
			t.Errorf("%T: got %d bytes, %v; want %v", tt.value, len(encoded), err, tt.want)
		}
	}
	for _, hostile := range []string{"", "\x00", "\xff", "\x04abc\x00", "\x14\x05abc"} {
		if value, err := session.DecodeValue([]byte(hostile)); err != nil && (!errors.Is(err, session.ErrValue) || value != nil) {
			t.Errorf("%q: got %v, %v", hostile, value, err)
		}
	}
	if _, err := session.DecodeValue(nil); !errors.Is(err, session.ErrValue) {
		t.Errorf("no bytes: got %v, want ErrValue", err)
	}
}
