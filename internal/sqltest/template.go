package sqltest

import (
	"bytes"
	"path/filepath"
	"sync"

	"github.com/mist-contrib/session/internal/servertest"
)

// A template is the data folder of a new server, as a tar file. Making one takes most of
// a second, unpacking it a tenth of that. It stays in memory, so there is no file to
// remove.
type template []byte

// makeTemplate packs the data folder that fill creates.
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

// unpack creates the folder "data" in a folder of the account.
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

// templateOf makes the template of a server once.
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
