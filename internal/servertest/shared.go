package servertest

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
)

// Main runs the tests of a package and then ends the servers that were started with
// [Shared]:
//
//	func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }
func Main(m *testing.M) int {
	theShared.mu.Lock()
	theShared.running = true
	theShared.mu.Unlock()
	code := m.Run()
	if err := theShared.end(); err != nil {
		fmt.Fprintln(os.Stderr, "servertest:", err)
		return max(code, 1)
	}
	return code
}

// Shared returns a [testing.TB] that lives as long as [Main] runs. It is for servers
// that many tests share: a cluster is six of them.
//
//	var cluster = sync.OnceValue(func() *redistest.ClusterSet {
//		return redistest.StartCluster(redistest.Shared(), time.Second)
//	})
//
// If it fails, the test binary ends. It has the methods of testing.TB that this package
// needs. The other methods panic.
func Shared() testing.TB {
	theShared.mu.Lock()
	defer theShared.mu.Unlock()
	if !theShared.running {
		panic("servertest: Shared needs a TestMain with servertest.Main")
	}
	return theShared
}

//nolint:gochecknoglobals // there is one Main
var theShared = &shared{}

type shared struct {
	testing.TB // nil; a type can implement testing.TB only by embedding it

	mu       sync.Mutex
	running  bool
	failed   bool
	cleanups []func()
}

// end calls the cleanups.
func (s *shared) end() error {
	s.mu.Lock()
	cleanups := s.cleanups
	s.running, s.cleanups = false, nil
	s.mu.Unlock()
	for _, f := range slices.Backward(cleanups) {
		f()
	}
	if s.Failed() {
		return errors.New("a shared server failed")
	}
	return nil
}

func (s *shared) Helper() {}

func (s *shared) Name() string { return "Shared" }

func (s *shared) Cleanup(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleanups = append(s.cleanups, f)
}

func (s *shared) TempDir() string {
	dir, err := os.MkdirTemp("", "servertest")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (s *shared) Log(args ...any) { fmt.Fprintln(os.Stderr, args...) }

func (s *shared) Errorf(format string, args ...any) {
	s.mu.Lock()
	s.failed = true
	s.mu.Unlock()
	s.Log(fmt.Sprintf(format, args...))
}

func (s *shared) Failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *shared) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	_ = s.end() // the test binary has failed, and no server must outlive it
	os.Exit(1)
}

func (s *shared) Fatal(args ...any) { s.Fatalf("%s", fmt.Sprint(args...)) }
