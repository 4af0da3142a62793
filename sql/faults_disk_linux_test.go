package sql_test

import (
	stdsql "database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/servertest"
	"github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/sqlite"
)

// TestFullDisk fills the disk under SQLite. Where there is no disk for it, TestFull stands
// in: it limits the pages.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	ownDisk(t, fullDisk)
}

// TestReadOnlyDisk reads SQLite from a disk that cannot be written, while a process that
// may write it goes on. Where there is no disk for it, TestReadOnlyFile stands in.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	ownDisk(t, func(t *testing.T, disk string) {
		t.Helper()
		truth := &sql.Store{DB: opened(t, sqlite.Open, "sqlite:"+filepath.Join(disk, "f")), OpTimeout: time.Minute}
		must(t, truth.Migrate(t.Context()))
		seen := t.TempDir()
		must(t, syscall.Mount(disk, seen, "", syscall.MS_BIND, ""))
		t.Cleanup(func() { _ = syscall.Unmount(seen, syscall.MNT_DETACH) })
		must(t, syscall.Mount("", seen, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
		st := &sql.Store{DB: opened(t, sqlite.Open, "sqlite:"+filepath.Join(seen, "f")), OpTimeout: time.Minute}
		refusesWrites(t, st, truth, newVictim(t, truth, st))
	})
}

// ownDisk runs a test in a child process that has a small disk of its own, in memory.
func ownDisk(t *testing.T, test func(t *testing.T, disk string)) {
	t.Helper()
	disk := t.TempDir()
	if servertest.IsChild() {
		if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=2m"); err != nil {
			servertest.Tell("refused")
			return
		}
		t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
		test(t, disk)
		return
	}
	child := servertest.Child(t)
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	_, ran := errors.AsType[*exec.ExitError](err)
	switch {
	case err != nil && !ran, strings.Contains(string(out), "CHILD refused"):
		if os.Getenv("CI") == "true" {
			t.Fatalf("this process may not have a disk of its own: %v", err)
		}
		t.Skip("this process may not have a disk of its own: another test stands in")
	case err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Fatalf("%v\n%s", err, out)
	}
}

func fullDisk(t *testing.T, disk string) {
	file, filler := filepath.Join(disk, "f"), filepath.Join(disk, "filler")
	st := &sql.Store{DB: opened(t, sqlite.Open, "sqlite:"+file), OpTimeout: time.Minute}
	v, ended := newVictim(t, st, st), newVictim(t, st, st)
	bob, err := st.Login(t.Context(), "", session.Login{User: "bob"})
	must(t, err)
	_, err = st.DB.ExecContext(t.Context(), "PRAGMA wal_checkpoint")
	must(t, err)
	must(t, os.WriteFile(filler, make([]byte, 1<<20), 0o600))

	// While somebody reads, the log cannot begin anew. It grows until the disk is full.
	reader, err := st.DB.BeginTx(t.Context(), &stdsql.TxOptions{ReadOnly: true})
	must(t, err)
	must(t, reader.QueryRowContext(t.Context(), "SELECT count(*) FROM session_records").Scan(new(int)))
	acknowledged := 0
	for err == nil && acknowledged < 10_000 {
		if err = v.session.Set(t.Context(), "n", acknowledged+1); err == nil {
			acknowledged++
		}
	}
	hasNoRoom(t, "Set beside a reader", err, v)
	for _, call := range faultCalls() {
		switch err := call.do(t.Context(), st, v); call.name {
		case "Open", "Get", "UserSessions":
			must(t, err)
		default:
			hasNoRoom(t, call.name+" beside a reader", err, v)
		}
	}
	survives(t, "beside a reader", st, v)
	must(t, reader.Rollback())

	// What needs no more room than there was works on a full disk, however often.
	for range 300 {
		must(t, st.Refresh(t.Context(), v.id))
	}
	must(t, st.Remove(t.Context(), ended.id))
	n, err := st.RemoveUserSessions(t.Context(), "bob")
	if err != nil || n != 1 {
		t.Errorf("RemoveUserSessions: got %d, %v, want 1", n, err)
	}

	// Sessions that begin need more.
	var made []string
	for err = nil; err == nil && len(made) < 10_000; {
		id := fmt.Sprint("made", len(made))
		if _, err = st.Generate(t.Context(), id); err == nil {
			made = append(made, id)
		}
	}
	hasNoRoom(t, "Generate", err, v)
	hasNoRoom(t, "Set of much", v.session.Set(t.Context(), "k", strings.Repeat(victimValue, 5000)), v)
	_, err = st.Login(t.Context(), v.token, session.Login{User: victimUser, Values: map[string]any{"k": strings.Repeat("x", 100_000)}})
	hasNoRoom(t, "Login with much", err, v)
	survives(t, "full", st, v)
	nothingHeld(t, "sqlite", st.DB, st.DB)

	// A machine that fails now loses nothing, and neither does a process that ends.
	elsewhere := t.TempDir()
	for _, name := range []string{"f", "f-wal"} {
		b, err := os.ReadFile(filepath.Join(disk, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(elsewhere, name), b, 0o600))
	}
	must(t, st.DB.Close())
	anew := func(file string) *sql.Store {
		return &sql.Store{DB: opened(t, sqlite.Open, "sqlite:"+file), OpTimeout: time.Minute}
	}
	still := anew(file)
	v.session, err = still.Get(t.Context(), v.id)
	must(t, err)
	for _, call := range faultCalls() {
		if call.ends {
			continue // there may be room for that
		}
		switch err := call.do(t.Context(), still, v); {
		case slices.Contains([]string{"Open", "Get", "UserSessions"}, call.name):
			must(t, err)
		case err != nil || call.name == "Generate":
			hasNoRoom(t, call.name+" of a process that began on a full disk", err, v)
		}
	}
	must(t, still.DB.Close())
	must(t, os.Remove(filler))
	for name, st := range map[string]*sql.Store{"elsewhere": anew(filepath.Join(elsewhere, "f")), "with room": anew(file)} {
		var verdict string
		must(t, st.DB.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict))
		if verdict != "ok" {
			t.Errorf("%s: the file is damaged: %s", name, verdict)
		}
		survives(t, name, st, v)
		s, err := st.Get(t.Context(), v.id)
		must(t, err)
		if n, err := s.Get(t.Context(), "n"); err != nil || n != acknowledged {
			t.Errorf("%s: got %v, %v, want %d that was acknowledged", name, n, err, acknowledged)
		}
		for _, id := range made {
			if _, err := st.Get(t.Context(), id); err != nil {
				t.Errorf("%s: got %v, want a session that was acknowledged", name, err)
			}
		}
		for _, id := range []string{ended.id, bob.ID()} {
			if _, err := st.Get(t.Context(), id); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s: got %v, want that the dead stay dead", name, err)
			}
		}
		must(t, s.Set(t.Context(), "k", strings.Repeat(victimValue, 5000)))
		for _, call := range faultCalls() {
			if err := call.do(t.Context(), st, newVictim(t, st, st)); err != nil {
				t.Errorf("%s, %s: %v", call.name, name, err)
			}
		}
	}
}

// hasNoRoom checks that an error is that of a store that is full.
func hasNoRoom(t *testing.T, name string, err error, v *victim) {
	t.Helper()
	if !errors.Is(err, session.ErrFull) || errors.Is(err, session.ErrNotFound) {
		t.Errorf("%s: got %v, want ErrFull", name, err)
		return
	}
	discreet(t, name, err, v)
}
