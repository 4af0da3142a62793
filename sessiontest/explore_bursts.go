package sessiontest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
)

// A burst is a set of concurrent requests.
type burst struct {
	name     string
	loggedIn bool // when it begins
	bound    bool // to a device, when it begins
	requests []request
	needs    Capability
}

type request struct {
	name   string
	kind   kind
	second bool // it comes from the second browser
}

// Bursts returns the bursts that an [Explorer] explores by default: all meaningful ones of
// up to three requests, and some of four. A burst is a list of words:
//
//	write           sets the value of a key of its own
//	update          adds one to a counter
//	login           logs ann in, from the browser's session
//	login-other     logs bob in
//	late            a login of ann that is refused: her password was checked too long ago
//	logout          removes the session
//	rotate          rotates the token
//	lose            rotates the token, but the response gets lost
//	refresh         refreshes the session, and the cookie
//	reauthenticate  ann proves her password again
//	revoke          ends all sessions of ann
//	expire          the idle timeout passes
//	bind            binds the session to a device
//	prove           the device of the cookie's session proves itself and gets a new token
//	replay          the same, but every replay answers the same challenge
//	lapse           the tokens of devices end
//
// All requests come from one browser, and may carry any cookie that it had since the burst
// began. A word that ends with 2 (write2) comes from a second browser, which has a session
// of its own in every burst. If the first word is "in:", ann is logged in on both browsers
// when the burst begins. If it is "bound:", both sessions are bound to devices as well.
func Bursts() []string {
	return slices.Concat(combinations(), chosen(), withDevices(), chosenDevices())
}

func combinations() (all []string) {
	var grow func(words []string, from int)
	names := kinds()[:withoutDevices]
	grow = func(words []string, from int) {
		if len(words) > 0 {
			all = append(all, starts(words)...)
		}
		for i := from; len(words) < 3 && i < len(names); i++ {
			grow(append(slices.Clip(words), names[i].name), i)
		}
	}
	grow(nil, 0)
	return all
}

// starts returns the burst with each start that makes sense: with visitors, with ann
// logged in, or both.
func starts(words []string) (all []string) {
	text := strings.Join(words, " ")
	count := func(name string) (n int) {
		for _, w := range words {
			if w == name {
				n++
			}
		}
		return n
	}
	logins := count(kindLogin) + count(kindOther)
	if count(kindLate) > 1 {
		return nil // the same as one of them
	}
	loggedIn := count(kindRevoke) + count(kindReauthenticate)
	if count(kindExpire) > 1 || count(kindRevoke) > 1 || count(kindLogout) > 1 {
		return nil // the same as one of them
	}
	if loggedIn == 0 || logins > 0 {
		all = append(all, text)
	}
	if loggedIn+logins > 0 {
		all = append(all, "in: "+text)
	}
	return all
}

func chosen() []string {
	return []string{
		"write write write write",
		"update update write logout",
		"rotate rotate rotate rotate",
		"write write rotate logout",
		"write write rotate refresh",
		"rotate rotate lose write",
		"lose lose rotate refresh",
		"rotate lose write logout",
		"rotate logout write2 logout2",
		"expire write rotate refresh",
		"login write rotate revoke",
		"login login write logout",
		"login login write revoke",
		"login login-other write rotate",
		"login rotate refresh write",
		"login expire write rotate",
		"login login2 write revoke",
		"login late write write",
		"login-other late update rotate",
		"late write update revoke",
		"login login2 login-other revoke",
		"in: write write rotate logout",
		"in: write write2 rotate revoke",
		"in: login-other write write rotate",
		"in: reauthenticate rotate write logout",
		"in: reauthenticate reauthenticate lose write",
		"in: reauthenticate login2 rotate revoke",
		"in: logout login2 write2 revoke",
	}
}

func parse(text string) (burst, error) {
	b := burst{name: text}
	words := strings.Fields(text)
	if len(words) > 0 && (words[0] == "in:" || words[0] == "bound:") {
		b.loggedIn, b.needs = true, UserStore
		if b.bound = words[0] == "bound:"; b.bound {
			b.needs |= DeviceStore
		}
		words = words[1:]
	}
	if len(words) == 0 {
		return b, errors.New("sessiontest: a burst without requests")
	}
	for i, w := range words {
		r := request{name: fmt.Sprintf("%d.%s", i+1, w)}
		r.kind.name, r.second = strings.CutSuffix(w, "2")
		found := false
		for _, k := range kinds() {
			if k.name == r.kind.name {
				r.kind, found = k, true
			}
		}
		if !found {
			return b, fmt.Errorf("sessiontest: burst %q: there is no %q", text, w)
		}
		b.needs |= r.kind.needs
		b.requests = append(b.requests, r)
	}
	return b, nil
}

// possible returns the bursts that the store has the capabilities for.
func (e Explorer) possible(t *testing.T) (all []burst, err error) {
	t.Helper()
	has, err := e.abilities(t)
	if err != nil {
		return nil, err
	}
	texts := e.Bursts
	if texts == nil {
		texts = Bursts()
	}
	for _, text := range texts {
		b, err := parse(text)
		switch {
		case err != nil:
			return nil, err
		case b.needs&^has == 0:
			all = append(all, b)
		case e.Bursts != nil:
			return nil, fmt.Errorf("sessiontest: burst %q needs what the store cannot do", text)
		}
	}
	return all, nil
}

func (e Explorer) abilities(t *testing.T) (has Capability, err error) {
	t.Helper()
	store := e.New(t)
	if _, ok := capability[session.ClientStore](store); ok != (e.ByDesign != nil) {
		return 0, errors.New("sessiontest: Explorer.ByDesign is for a ClientStore, and a ClientStore needs it")
	}
	if _, ok := capability[session.TokenStore](store); ok {
		has |= TokenStore
	}
	if _, ok := capability[session.UserStore](store); ok {
		has |= UserStore
	}
	if _, ok := capability[session.DeviceStore](store); ok {
		has |= DeviceStore
		if e.Idle > 4*boundFor {
			has |= lapses
		}
	}
	if e.ByDesign == nil || revokes(store) {
		has |= revocation
	}
	if e.Idle > 0 {
		has |= expiry
	}
	s, err := store.Generate(t.Context(), uuid.NewString())
	if err != nil {
		return 0, fmt.Errorf("sessiontest: Generate: %w", err)
	}
	err = session.Update(t.Context(), s, "probe", func(any) (any, error) { return 1, nil })
	switch {
	case err == nil:
		has |= Updater
	case !errors.Is(err, errors.ErrUnsupported):
		return 0, fmt.Errorf("sessiontest: Update: %w", err)
	}
	return has, nil
}
