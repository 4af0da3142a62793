package sqltest_test

import (
	"bufio"
	"io"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/mist-contrib/session/internal/sqltest"
)

// A session is a connection of a client that stays open.
type session struct {
	in  io.WriteCloser
	out *bufio.Scanner
}

func open(t *testing.T, s *sqltest.Server) *session { return openURL(t, s.URL()) }

func openURL(t *testing.T, address string) *session {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", address)
	if u, err := url.Parse(address); err == nil && u.Scheme == "mysql" {
		password, _ := u.User.Password()
		cmd = exec.CommandContext(t.Context(), "mariadb", "--no-defaults", "--protocol=tcp", "--unbuffered", "--batch",
			"--skip-column-names", "--host="+u.Hostname(), "--port="+u.Port(), "--user="+u.User.Username(),
			"--password="+password, strings.TrimPrefix(u.Path, "/"))
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &session{in, bufio.NewScanner(out)}
}

// number returns the number that statements give in one row.
func (s *session) number(t *testing.T, statements string) float64 {
	t.Helper()
	if _, err := io.WriteString(s.in, statements+"\n"); err != nil {
		t.Fatal(err)
	}
	if !s.out.Scan() {
		t.Fatalf("the client ends: %v", s.out.Err())
	}
	n, err := strconv.ParseFloat(s.out.Text(), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func ints(numbers []int) []string {
	var all []string
	for _, n := range numbers {
		all = append(all, strconv.Itoa(n))
	}
	return all
}

func numbers(t *testing.T, list string) []int {
	t.Helper()
	var all []int
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

// ends sends statements and reports whether the client ends without a row.
func (s *session) ends(statements string) bool {
	_, _ = io.WriteString(s.in, statements+"\n")
	_ = s.in.Close()
	return !s.out.Scan() || s.out.Text() == ""
}
