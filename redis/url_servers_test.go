package redis_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// oddPassword has all that a URL must escape.
const oddPassword = `p@s:s/w?o#r%d, "ö"&=+`

// reach makes a session at the end of a URL, and returns it as another client
// finds it.
func reach(t *testing.T, rawURL string) error {
	t.Helper()
	st := &redis.Store{Client: newClient(t, rawURL), OpTimeout: time.Minute}
	s, err := st.Generate(t.Context(), uuid.NewString())
	if err != nil {
		return err
	}
	again := &redis.Store{Client: newClient(t, rawURL), OpTimeout: time.Minute}
	_, err = again.Open(t.Context(), session.Token(s))
	return err
}

// wantLockedOut checks what who may not enter is told: nothing about sessions,
// nor about passwords.
func wantLockedOut(t *testing.T, rawURL, password string) {
	t.Helper()
	err := reach(t, rawURL)
	if err == nil || errors.Is(err, session.ErrNotFound) || !goredis.IsAuthError(err) {
		t.Errorf("got %v, want that Redis refused the password", err)
	}
	if err != nil && strings.Contains(err.Error(), password) {
		t.Errorf("the password is in the error: %v", err)
	}
}

// userInfo is a user with the odd password, as URLs have it.
func userInfo(user string) string {
	return url.UserPassword(user, oddPassword).String() + "@"
}

func TestNewClientServer(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "socket")
	s := redistest.Start(t, "--requirepass", oddPassword, "--unixsocket", socket)
	s.MustDo(t, "ACL", "SETUSER", "a,da", "on", ">"+oddPassword, "~*", "+@all")
	for _, rawURL := range []string{
		"redis://" + userInfo("") + s.Addr, "redis://" + userInfo("default") + s.Addr, "redis://" + userInfo("a,da") + s.Addr + "/3",
		"unix://" + userInfo("") + socket, "unix://" + userInfo("a,da") + socket + "?db=3",
	} {
		if err := reach(t, rawURL); err != nil {
			t.Errorf("%s: %v", rawURL, err)
		}
	}
	keyspace := s.Info(t, "keyspace")
	for database, want := range map[string]string{"db0": "keys=3,", "db3": "keys=2,"} {
		if got := keyspace[database]; !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %s", database, got, want)
		}
	}
	wantLockedOut(t, "redis://:hunter2@"+s.Addr, "hunter2")
	wantLockedOut(t, "redis://mallory:hunter2@"+s.Addr, "hunter2")
	wantLockedOut(t, "redis://"+s.Addr, oddPassword)
	wantLockedOut(t, "unix://:hunter2@"+socket, "hunter2")
}

func TestNewClientSentinel(t *testing.T) {
	t.Parallel()
	const sentinelPassword = "se nt&i%nel"
	set := redistest.StartSentinel(t, 10*time.Second)
	for _, s := range []*redistest.Server{set.Master, set.Replica} {
		s.MustDo(t, "ACL", "SETUSER", "ada", "on", ">"+oddPassword, "~*", "+@all")
		s.MustDo(t, "ACL", "SETUSER", "default", "resetpass", ">"+oddPassword)
	}
	for _, s := range set.Sentinels {
		s.MustDo(t, "ACL", "SETUSER", "watch", "on", ">"+sentinelPassword, "allchannels", "+@all")
		s.MustDo(t, "ACL", "SETUSER", "default", "resetpass", ">"+oddPassword)
	}
	addrs := set.Addrs()
	asWatch := url.Values{"sentinel_username": {"watch"}, "sentinel_password": {sentinelPassword}}
	more := url.Values{"master_name": {set.Name}, "addr": addrs[1:]}
	for _, rawURL := range []string{
		"redis+sentinel://" + userInfo("ada") + strings.Join(addrs, ",") + "/" + set.Name + "/0?" + asWatch.Encode(),
		"redis+sentinel://" + userInfo("ada") + "127.0.0.1:1,127.0.0.1:2," + addrs[2] + "/" + set.Name + "?" + asWatch.Encode(),
		"redis://" + userInfo("ada") + addrs[0] + "?" + more.Encode() + "&" + asWatch.Encode(),
	} {
		if err := reach(t, rawURL); err != nil {
			t.Errorf("%s: %v", rawURL, err)
		}
	}
	wantLockedOut(t, "redis+sentinel://ada:hunter2@"+addrs[0]+"/"+set.Name+"?"+asWatch.Encode(), "hunter2")
	wantLockedOut(t, "redis+sentinel://"+userInfo("ada")+addrs[0]+"/"+set.Name+"?sentinel_password=hunter2", "hunter2")
	wantLockedOut(t, "redis+sentinel://"+userInfo("ada")+addrs[0]+"/"+set.Name, oddPassword)
}

func TestNewClientCluster(t *testing.T) {
	t.Parallel()
	set := redistest.StartCluster(t, nodeTimeout)
	for _, s := range set.Nodes {
		s.MustDo(t, "ACL", "SETUSER", "ada", "on", ">"+oddPassword, "~*", "+@all")
	}
	addrs := set.Addrs()
	for _, rawURL := range []string{
		"redis+cluster://" + userInfo("ada") + strings.Join(addrs, ","), "redis+cluster://" + addrs[4],
		"redis+cluster://" + userInfo("ada") + "127.0.0.1:1," + addrs[5],
		"redis://" + userInfo("ada") + addrs[0] + "?addr=" + addrs[1], "redis://" + addrs[1] + "," + addrs[2],
	} {
		for range 4 { // sessions on some masters
			if err := reach(t, rawURL); err != nil {
				t.Errorf("%s: %v", rawURL, err)
			}
		}
	}
	wantLockedOut(t, "redis+cluster://ada:hunter2@"+strings.Join(addrs, ","), "hunter2")
}

// Nobody listens at these addresses, which are of this machine.
func TestNewClientDefaultPorts(t *testing.T) {
	for rawURL, want := range map[string][]string{
		"redis://127.9.9.9":                                {"127.9.9.9:6379"},
		"redis+sentinel://127.9.9.9/shop":                  {"127.9.9.9:26379"},
		"redis+sentinel://127.9.9.9,127.9.9.8:9/shop":      {"127.9.9.8:9", "127.9.9.9:26379"},
		"redis://127.9.9.9?master_name=s&addr=127.9.9.8:9": {"127.9.9.8:9", "127.9.9.9:26379"},
		"redis+sentinel://[::1]:9,127.9.9.9/shop":          {"127.9.9.9:26379", "[::1]:9"},
		"redis+cluster://127.9.9.9":                        {"127.9.9.9:6379"},
	} {
		st := &redis.Store{Client: newClient(t, rawURL), OpTimeout: time.Minute}
		_, err := st.Get(t.Context(), "id")
		if got := dialed(err); !slices.Equal(got, want) {
			t.Errorf("%s: got connections to %v, want %v (%v)", rawURL, got, want, err)
		}
	}
}

// dialed returns where the connections went that an error is about.
func dialed(err error) (addrs []string) {
	if op, ok := err.(*net.OpError); ok && op.Addr != nil { //nolint:errorlint // walks the tree itself
		return []string{op.Addr.String()}
	}
	switch err := err.(type) { //nolint:errorlint // walks the tree itself
	case interface{ Unwrap() error }:
		return dialed(err.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range err.Unwrap() {
			addrs = append(addrs, dialed(err)...)
		}
	}
	slices.Sort(addrs)
	return slices.Compact(addrs)
}

// startTLS returns the port at which a server speaks TLS, and the file of the
// certificate that it shows: of 127.0.0.1, and signed by itself.
func startTLS(t *testing.T) (port, root string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	root = write("root.pem", "CERTIFICATE", certificate)
	s := redistest.Start(t, "--tls-cert-file", root, "--tls-key-file", write("key.pem", "PRIVATE KEY", private),
		"--tls-ca-cert-file", root, "--tls-auth-clients", "no")
	for range 20 {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		_ = l.Close()
		if _, err = s.Do("CONFIG", "SET", "tls-port", port); err == nil { // nobody else was faster
			return port, root
		}
		t.Log(err)
	}
	t.Fatal("no port for TLS")
	return "", ""
}

// tlsURL is the URL that a child process of TestNewClientTLS connects to.
const tlsURL = "SESSION_TEST_TLS_URL"

func TestNewClientTLS(t *testing.T) {
	if rawURL := os.Getenv(tlsURL); rawURL != "" {
		if err := reach(t, rawURL); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Parallel()
	port, root := startTLS(t)
	addr := "127.0.0.1:" + port
	if err := reach(t, "rediss://"+addr+"?skip_verify=true&dial_timeout=30s&read_timeout=30s"); err != nil {
		t.Errorf("skip_verify: %v", err)
	}
	var unknown x509.UnknownAuthorityError
	if err := reach(t, "rediss://"+addr+"?max_retries=-1&dial_timeout=30s"); !errors.As(err, &unknown) {
		t.Errorf("unknown certificate: got %v, want a %T", err, unknown)
	}
	if err := reach(t, "redis://"+addr+"?max_retries=-1"); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("no TLS: got %v, want a failure", err)
	}
	// A process reads the roots that it trusts once.
	for rawURL, want := range map[string]bool{"rediss://" + addr + "?dial_timeout=30s&read_timeout=30s": true, "rediss://localhost:" + port + "?dial_timeout=30s": false} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestNewClientTLS$")
		child.Env = append(os.Environ(), "SSL_CERT_FILE="+root, "SSL_CERT_DIR=/nonexistent", tlsURL+"="+rawURL)
		if out, err := child.CombinedOutput(); (err == nil) != want {
			t.Errorf("trusted root, %s: got %v, want success %t\n%s", rawURL, err, want, out)
		}
	}
}
