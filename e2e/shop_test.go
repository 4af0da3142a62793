package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A shop is a running examples/login.
type shop struct {
	url        string
	cookieName string
}

// stopLimit is above the ten seconds that examples/login waits for requests.
const stopLimit = 20 * time.Second

// openShop starts examples/login over plain http on a free port.
func openShop(t *testing.T, args ...string) shop {
	t.Helper()
	return shop{startLogin(t, event, args...), "session"}
}

// openShopHTTPS starts it over https.
func openShopHTTPS(t *testing.T, args ...string) shop {
	t.Helper()
	return shop{startLogin(t, event, append(args, "-cert", own.certFile, "-key", own.keyFile)...), "__Host-Http-session"}
}

// startLogin starts examples/login, stops it at the end of the test, and returns its URL.
// The program may only log lines that logs matches.
func startLogin(t *testing.T, logs *regexp.Regexp, args ...string) string {
	t.Helper()
	cmd := exec.Command(loginBinary, append([]string{"-addr", "localhost:0"}, args...)...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopLogin(t, cmd, logs, &stderr) })

	limit := time.AfterFunc(startLimit, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "Serving ")
	if err != nil || !ok {
		t.Fatalf("first line of examples/login: got %q, %v, want Serving and a URL", line, err)
	}
	client := &http.Client{
		Timeout:   startLimit,
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: own.roots}},
	}
	res, err := client.Get(url + "/login")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("examples/login: got status %d, want 200", res.StatusCode)
	}
	return url
}

// stopLogin asks examples/login to stop, as an operator would.
func stopLogin(t *testing.T, cmd *exec.Cmd, logs *regexp.Regexp, stderr *bytes.Buffer) {
	t.Helper()
	limit := time.AfterFunc(stopLimit, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stop examples/login: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("examples/login after SIGTERM: got %v, want a clean end", err)
	}
	// The log would have every failure and panic. It may have events of sessions, but no
	// token, and the complaints of Chromium about the certificate.
	for line := range strings.Lines(stderr.String()) {
		line = strings.TrimSpace(line)
		if secret.MatchString(line) {
			t.Error("examples/login logged a token")
		} else if !logs.MatchString(line) && !strings.Contains(line, "TLS handshake error") {
			t.Errorf("examples/login logged: %s", line)
		}
	}
}

var (
	event  = regexp.MustCompile(`^\S+ \S+ (INFO|WARN) session kind=`)
	secret = regexp.MustCompile(`[A-Z2-7]{26}`)
)
