package redistest

import (
	"slices"
	"strings"
	"testing"
)

// However a stream is cut, its values end at the same places.
func TestScanner(t *testing.T) {
	t.Parallel()
	values := []string{
		"+OK\r\n", "-ERR no\r\n", ":12\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "(123\r\n",
		"$-1\r\n", "*-1\r\n", "$0\r\n\r\n", "*0\r\n", "%0\r\n", "~0\r\n",
		"$4\r\n\r\n*1\r\n", "=7\r\ntxt:a\r\n\r\n", "!3\r\nERR\r\n",
		"*3\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n+x\r\n",
		"%2\r\n$1\r\na\r\n*1\r\n:1\r\n+b\r\n%1\r\n+c\r\n_\r\n",
		">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n",
		"|1\r\n+ttl\r\n:3\r\n*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n",
		"~2\r\n:1\r\n:2\r\n",
	}
	stream := []byte(strings.Join(values, ""))
	for size := 1; size <= len(stream); size++ {
		var (
			scan scanner
			now  strings.Builder
			got  []string
		)
		for piece := range slices.Chunk(stream, size) {
			for len(piece) > 0 {
				n, done, err := scan.next(piece)
				if err != nil {
					t.Fatal(err)
				}
				now.Write(piece[:n])
				if piece = piece[n:]; done {
					got = append(got, now.String())
					now.Reset()
				}
			}
		}
		if !slices.Equal(got, values) {
			t.Fatalf("in pieces of %d: %q\nwant %q", size, got, values)
		}
	}
}

func TestScannerRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"PING\r\n", "\r\n", "\n", "$x\r\n", "*\r\n", "?1\r\n"} {
		var scan scanner
		if _, _, err := scan.next([]byte(s)); err == nil {
			t.Errorf("%q is a value", s)
		}
	}
}
