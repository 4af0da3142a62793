package webtest

import (
	"bytes"
	"runtime"
	"testing"
)

// Goroutines returns the number of goroutines in the caller's testing/synctest bubble. It does not
// count other goroutines, because those of idle connections come and go.
func Goroutines(tb testing.TB) int {
	tb.Helper()
	all := make([]byte, 8<<20)
	all = all[:runtime.Stack(all, true)] // the caller comes first: "goroutine 7 [running, synctest bubble 3]:"
	state, _, _ := bytes.Cut(all, []byte("]:"))
	_, number, ok := bytes.Cut(state, []byte("synctest bubble "))
	if !ok {
		tb.Fatal("the stack names no bubble")
	}
	return bytes.Count(all, []byte("synctest bubble "+string(number)+"]:"))
}
