package sqltest

import (
	"bytes"
	"path/filepath"
	"sync"

	"github.com/mist-contrib/session/internal/servertest"
)

// A template is the data folder of a new server, as a tar. To make one takes most
// of a second, to unpack it a tenth of that. It is kept in memory, so there is no
// file to remove.
type template []byte

// makeTemplate packs the data folder that a function fills.
func makeTemplate(as *servertest.Account, fill func(data string) error) (t template, err error) {
	err = as.WithFolder(func(dir string) error {
		if err := fill(filepath.Join(dir, "data")); err != nil {
			return err
		}
		t, err = as.Run(command("tar", "-C", dir, "-c", "data"))
		return err
	})
	return t, err
}

// unpack makes the folder "data" in a folder of the account.
func (t template) unpack(as *servertest.Account, dir string) error {
	cmd := command("tar", "-C", dir, "-x")
	cmd.Stdin = bytes.NewReader(t)
	_, err := as.Run(cmd)
	return err
}

//nolint:gochecknoglobals // the templates of the servers, which are facts about the machine
var (
	templates   = make(map[string]func() (template, error))
	templatesMu sync.Mutex
)

// templateOf makes a server's template once.
func templateOf(server string, as *servertest.Account, k kind) (template, error) {
	templatesMu.Lock()
	once := templates[server]
	if once == nil {
		once = sync.OnceValues(func() (template, error) {
			return makeTemplate(as, func(data string) error { return k.install(as, data) })
		})
		templates[server] = once
	}
	templatesMu.Unlock()
	return once()
}
