package redis_test

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/program"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// TestNothingSecretIsStored looks at all that a server holds, and at all that it
// was ever sent, after much has happened.
func TestNothingSecretIsStored(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	w, client := wired(t, server)
	ctx := t.Context()
	secrets, all, indexes := make(map[string]bool), make(map[string]*redis.Store), make(map[string][]string)
	for seed := range uint64(10) {
		store := &redis.Store{Client: client, Prefix: fmt.Sprintf("%d:", seed), OpTimeout: time.Minute}
		sd := &program.Subject{Store: store}
		for _, st := range program.Steps(program.Random(3000+seed, 200)) {
			sd.Do(ctx, st)
		}
		for _, clientToken := range sd.Tokens {
			id, secret, _ := strings.Cut(clientToken, ".")
			secrets[secret], all[keyOf(store, id)] = true, store
		}
		for _, user := range program.Users[1:] {
			all[indexOf(store, user)], all[revokedOf(store, user)] = store, store
			for _, id := range sd.IDs {
				if strings.HasPrefix(id, homeOf(user)) {
					indexes[indexOf(store, user)] = append(indexes[indexOf(store, user)], id)
				}
			}
		}
	}
	var sent []string
	for _, words := range w.take(t) {
		sent = append(sent, words...)
	}
	stored := storedWords(t, client)
	if len(secrets) < 50 || len(stored) < 10 {
		t.Fatalf("got %d secrets and %d records, which proves little", len(secrets), len(stored))
	}
	for secret := range secrets {
		if slices.ContainsFunc(sent, func(word string) bool { return strings.Contains(word, secret) }) {
			t.Error("a secret was sent to the server")
		}
	}
	listed, revoked := 0, 0
	for key, words := range stored {
		store := all[key]
		if store == nil {
			t.Errorf("there is a key %q, which is none of the documented", key)
			continue
		}
		var ids []string
		switch index, isTime := strings.CutSuffix(key, "revoked:"); {
		case isTime:
			revoked++
			ids = indexes[index]
		case indexes[key] != nil:
			listed++
			ids = indexes[key]
		default:
			_, id, _ := strings.Cut(key, ":")
			ids = []string{strings.NewReplacer("{", "", "}", "").Replace(id)}
		}
		for _, user := range program.Users[2:] {
			if strings.Contains(key, user) || indexes[key] != nil && slices.Contains(words, user) {
				t.Errorf("the name of a user is in the key %q", key)
			}
		}
		for _, word := range words {
			for secret := range secrets {
				if strings.Contains(word, secret) {
					t.Error("a secret is stored")
				}
			}
			for _, id := range ids {
				for _, guess := range guesses(word) {
					for _, clientToken := range []string{guess, id + "." + guess} {
						if _, err := store.Open(ctx, clientToken); !errors.Is(err, session.ErrNotFound) {
							t.Errorf("Open of what is stored: got %v, want ErrNotFound", err)
						}
					}
				}
			}
		}
	}
	if listed == 0 || revoked == 0 {
		t.Errorf("got %d indexes and %d revocations: the test proves little", listed, revoked)
	}
}

// TestKeyName finds the keys of sessions and users where the documentation says.
func TestKeyName(t *testing.T) {
	t.Parallel()
	const aliceHome = "K9gGyX8OAK8aH8My" // printf %s alice | openssl dgst -sha256 -binary | head -c12 | basenc --base64url
	ctx, client := t.Context(), newClient(t, unhurried(redistest.Start(t).Addr))
	for prefix, name := range map[string]string{"": "session:", "s": "s", "a:": "a:", "*?[{x}\x00 é:": "*?[{x}\x00 é:"} {
		store := &redis.Store{Client: client, Prefix: prefix, OpTimeout: time.Minute}
		has := func(when string, want ...string) {
			t.Helper()
			if got := slices.Sorted(maps.Keys(storedWords(t, client))); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
				t.Errorf("prefix %q, %s: got the keys %q, want %q", prefix, when, got, want)
			}
		}
		s, err := store.Generate(ctx, "id")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Set(ctx, "key", 1), errorOf(store.Rotate(ctx, session.Token(s), 0))); err != nil {
			t.Error(err)
		}
		has("anonymous", name+"id")
		if err := store.Remove(ctx, "id"); err != nil {
			t.Error(err)
		}
		has("removed")
		in, err := store.Login(ctx, "", session.Login{User: "alice", ID: "of-alice"})
		if err != nil {
			t.Fatal(err)
		}
		if in.ID() != aliceHome+"_of-alice" {
			t.Errorf("got the id %s", in.ID())
		}
		tagged := name + "{" + aliceHome[:3] + "}" + aliceHome[3:]
		has("logged in", tagged+"_of-alice", tagged+":")
		if err := store.Remove(ctx, in.ID()); err != nil {
			t.Error(err)
		}
		has("logged out")
		if _, err := store.RemoveUserSessions(ctx, "alice"); err != nil {
			t.Error(err)
		}
		has("revoked", tagged+":revoked:")
		client.FlushAll(ctx)
	}
}

// storedWords is every key of a server, its name, fields and values.
func storedWords(t *testing.T, client goredis.UniversalClient) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	keys := client.Scan(t.Context(), 0, "*", 1000).Iterator()
	for keys.Next(t.Context()) {
		if ids, err := client.ZRange(t.Context(), keys.Val(), 0, -1).Result(); err == nil { // an index
			all[keys.Val()] = append(ids, keys.Val())
			continue
		}
		if revoked, err := client.Get(t.Context(), keys.Val()).Result(); err == nil {
			all[keys.Val()] = []string{keys.Val(), revoked}
			continue
		}
		fields, err := client.HGetAll(t.Context(), keys.Val()).Result()
		if err != nil {
			t.Fatal(err) // another type: none of ours is
		}
		all[keys.Val()] = slices.Concat([]string{keys.Val()}, slices.Collect(maps.Keys(fields)), slices.Collect(maps.Values(fields)))
	}
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// guesses are the secrets that somebody would try who found a word in the store.
func guesses(word string) []string {
	secrets := []string{word}
	for at := 0; at < len(word); at += 16 { // hashes and salts
		for _, part := range []string{word[at:], word[at:min(at+16, len(word))], word[at:min(at+32, len(word))]} {
			secrets = append(secrets, part, hex.EncodeToString([]byte(part)), base64.RawURLEncoding.EncodeToString([]byte(part)))
			letters := base32.StdEncoding.EncodeToString([]byte(part))
			for _, n := range []int{26, 52, len(letters)} {
				secrets = append(secrets, strings.TrimRight(letters[:min(n, len(letters))], "="))
			}
		}
	}
	slices.Sort(secrets)
	return slices.Compact(secrets)
}
