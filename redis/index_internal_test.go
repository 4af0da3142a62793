package redis

import (
	"fmt"
	"math/rand/v2"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session/internal/redistest"
)

// TestKeySlot holds the slots of keys against those of a server.
func TestKeySlot(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--cluster-enabled", "yes")
	keys := []string{"", "123456789", "{", "}", "{}", "{}a", "a{b", "a}b", "}{", "a{b}c", "a{b}{c}", "a{{b}}c", "a{}{b}c", "\x00{\xff}", "é"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		b := make([]byte, random.IntN(40))
		for i := range b {
			b[i] = "{}ab\x00\xff:"[random.IntN(7)]
		}
		keys = append(keys, string(b))
	}
	for _, key := range keys {
		if got, want := int64(keySlot(key)), server.MustDo(t, "CLUSTER", "KEYSLOT", key); got != want {
			t.Errorf("%q: got slot %d, want %v", key, got, want)
		}
	}
}

// TestSlotIndex finds the index of a slot in the slot of the record, whatever the
// prefix does to slots, and finds it again among all that a revocation reads.
func TestSlotIndex(t *testing.T) {
	t.Parallel()
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	t.Cleanup(func() { _ = client.Close() })
	for prefix, tags := range map[string]int{
		"": slotCount, "a": slotCount, "pre{fix:": slotCount, "}a{": slotCount, "{}": slotCount, "a{}b{c}": slotCount, "{x}:": 1, "a{{b}": 1,
	} {
		st := &Store{Client: client, Prefix: prefix}
		if err := st.Check(); err != nil {
			t.Fatal(err)
		}
		if got := len(st.slotTags()); got != tags {
			t.Fatalf("prefix %q: got %d tags, want %d", prefix, got, tags)
		}
		for i := range 3 {
			hash := userHash(fmt.Sprint("user", i))
			all := make(map[string]bool)
			slots := make(map[int]bool)
			for _, tag := range st.slotTags() {
				all[st.slotKey(hash, tag)] = true
				slots[keySlot(st.slotKey(hash, tag))] = true
			}
			if len(all) != tags || len(slots) != tags {
				t.Errorf("prefix %q: %d indexes in %d slots, want %d", prefix, len(all), len(slots), tags)
			}
			for n := range 500 {
				key := st.prefix + fmt.Sprint("id", n)
				index := st.slotKeyFor(hash, key)
				if keySlot(index) != keySlot(key) || !all[index] {
					t.Fatalf("prefix %q: the index is in slot %d, the record in %d; a revocation reads it %t", prefix, keySlot(index), keySlot(key), all[index])
				}
			}
		}
	}
	one := &Store{Client: goredis.NewClient(&goredis.Options{})}
	if err := one.Check(); err != nil || len(one.slotTags()) != 1 {
		t.Errorf("without a Cluster: got %d tags, %v", len(one.slotTags()), err)
	}
}

func BenchmarkSlotTags(b *testing.B) {
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	b.Cleanup(func() { _ = client.Close() })
	for b.Loop() {
		st := &Store{Client: client}
		_ = st.Check()
		st.slotTags()
	}
}
