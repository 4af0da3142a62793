package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// startLimit is how long a slow machine may take to build the example, to start the
// browser or to open a tab.
const startLimit = 90 * time.Second

// artifacts is where screenshots go.
const artifacts = "artifacts"

// TestMain prepares these for all tests.
var (
	chromium    string          // the program
	loginBinary string          // the program of examples/login
	own         certificate     // for all shops with https
	browser     context.Context // chromedp's handle of the running browser
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if chromium, err = findChromium(); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "session-e2e-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.RemoveAll(artifacts); err != nil { // of the last run
		return 1, err
	}
	loginBinary = filepath.Join(dir, "login")
	if err := build(loginBinary); err != nil {
		return 1, err
	}
	if own, err = makeCertificate(dir); err != nil {
		return 1, err
	}
	var stop func()
	if browser, stop, err = startBrowser(filepath.Join(dir, "profile")); err != nil {
		return 1, err
	}
	defer stop()
	return m.Run(), nil
}

func findChromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no Chromium in the PATH; install it: apt-get install -y chromium")
}

func build(binary string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./examples/login")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build examples/login: %w\n%s", err, out)
	}
	return nil
}

// startBrowser starts a browser. All tests share one, and each has a browser context of
// its own there, like a private window. A test that ends a browser starts another one.
func startBrowser(profile string) (ctx context.Context, stop func(), err error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium),
		chromedp.UserDataDir(profile),
		chromedp.NoSandbox, // CI runs as root
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		// With IgnoreCertErrors Chromium would bind no session to a device.
		chromedp.Flag("ignore-certificate-errors-spki-list", own.pin),
		// Without a security chip Chromium needs keys in software. It signs without a quota here.
		chromedp.Flag("enable-features", "NetworkService,NetworkServiceInProcess,"+
			"DeviceBoundSessions:RefreshQuota/false,EnableBoundSessionCredentialsSoftwareKeysForManualTesting"),
		chromedp.WindowSize(800, 900),
	)
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	stop = func() {
		cancel()
		stopAllocator()
	}
	if err := start(ctx, cancel); err != nil {
		stop()
		return nil, nil, fmt.Errorf("start %s: %w", chromium, err)
	}
	return ctx, stop, nil
}

// start starts the browser or opens the tab of a chromedp context. A context with a
// deadline would end both later, so the limit is a timer.
func start(ctx context.Context, cancel context.CancelFunc) error {
	limit := time.AfterFunc(startLimit, cancel)
	defer limit.Stop()
	return chromedp.Do(ctx)
}
