package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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
	return shop{startLogin(t, nil, args...), "session"}
}

// openShopHTTPS starts it over https, with a certificate of this test's own.
func openShopHTTPS(t *testing.T, args ...string) shop {
	t.Helper()
	cert, key, roots := makeCertificate(t)
	return shop{startLogin(t, roots, append(args, "-cert", cert, "-key", key)...), "__Host-Http-session"}
}

// pin is what makes Chromium take a certificate for a good one.
func pin(t *testing.T, certFile string) string {
	t.Helper()
	data, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// startLogin returns the URL at which examples/login answers until the test has
// ended.
func startLogin(t *testing.T, roots *x509.CertPool, args ...string) string {
	t.Helper()
	return startLoginLogging(t, event, roots, args...)
}

// startLoginLogging is startLogin of one that may log more than events.
func startLoginLogging(t *testing.T, logs *regexp.Regexp, roots *x509.CertPool, args ...string) string {
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
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}},
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
	// What goes wrong is logged there, and so would a panic be. What happens to
	// sessions may be, but no token; and that Chromium dislikes the certificate
	// before it is told to ignore that.
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

// makeCertificate writes a self-signed certificate for localhost and its key.
func makeCertificate(t *testing.T) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "localhost"},
		DNSNames:     []string{"localhost", "*.localhost"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:         true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile = writePEM(t, "CERTIFICATE", cert)
	keyFile = writePEM(t, "PRIVATE KEY", private)
	parsed, err := x509.ParseCertificate(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(parsed)
	return certFile, keyFile, roots
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
