package redis_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session/internal/redistest"
)

// clusterFaults are those that only a cluster has. All keys of a try are in one
// slot, and in that of the prefix.
func clusterFaults() []fault {
	return []fault{
		{name: "no fault", begin: func(*world) error { return nil }, fails: noStep},
		{
			name:  "slot moved", // the client does not know yet
			begin: func(w *world) error { return errors.Join(w.moveKeys(), w.giveSlot()) },
			fails: noStep, happens: true,
		},
		{
			name:  "slot on its way", // its keys are gone, and it is not
			begin: (*world).moveKeys, end: (*world).giveSlot,
			fails: noStep, splits: true,
		},
		{
			name: "scripts forgotten",
			begin: func(w *world) error {
				return w.masters(func(s *redistest.Server) error { return drop(s.Do("SCRIPT", "FLUSH")) })
			},
			fails: noStep, happens: true,
		},
		{
			name: "master paused", opTimeout: shortTimeout / 2,
			begin: func(w *world) error {
				master := w.cluster.MasterOf(w.t, w.prefix)
				w.undo = master.Resume
				master.Pause()
				return nil
			},
			end:   func(w *world) error { w.undo(); return nil },
			fails: anyStep, cause: anyOf(timedOut, cutOff),
		},
	}
}

//nolint:tparallel // it is one cluster, so one fault after the other
func TestFaultsOfCluster(t *testing.T) {
	t.Parallel()
	set, admin := cluster(t)
	for _, f := range clusterFaults() {
		f.inCluster(t, &world{cluster: set, admin: admin})
	}
}

func (f *fault) inCluster(t *testing.T, w *world) {
	t.Helper()
	t.Run(f.name, func(t *testing.T) {
		w.t = t
		f.spread(t, []*world{w})
	})
}

func drop(_ any, err error) error { return err }

// masters calls f for all masters of the cluster.
func (w *world) masters(f func(s *redistest.Server) error) error {
	return w.admin.(*goredis.ClusterClient).ForEachMaster(context.Background(), func(_ context.Context, c *goredis.Client) error {
		i := slices.IndexFunc(w.cluster.Nodes, func(s *redistest.Server) bool { return s.Addr == c.Options().Addr })
		return f(w.cluster.Nodes[i])
	})
}

// moveKeys moves what is in the slot of the present try to another master, which
// is ready to get the slot, too.
func (w *world) moveKeys() error {
	from := w.cluster.MasterOf(w.t, w.prefix)
	var to *redistest.Server
	for _, s := range w.cluster.Nodes {
		if role, err := s.Do("ROLE"); err != nil {
			return err
		} else if list, _ := role.([]any); s != from && list[0] == "master" {
			to = s
		}
	}
	slot, err := from.Do("CLUSTER", "KEYSLOT", w.prefix)
	if err != nil {
		return err
	}
	source, target := from.MustDo(w.t, "CLUSTER", "MYID"), to.MustDo(w.t, "CLUSTER", "MYID")
	to.MustDo(w.t, "CLUSTER", "SETSLOT", slot, "IMPORTING", source)
	from.MustDo(w.t, "CLUSTER", "SETSLOT", slot, "MIGRATING", target)
	host, port, err := net.SplitHostPort(to.Addr)
	if err != nil {
		return err
	}
	keys, _ := from.MustDo(w.t, "CLUSTER", "GETKEYSINSLOT", slot, 100).([]any)
	for _, key := range keys {
		if err := drop(from.Do("MIGRATE", host, port, key, 0, 5000)); err != nil {
			return err
		}
	}
	w.undo = func() {
		for _, s := range []*redistest.Server{to, from} {
			s.MustDo(w.t, "CLUSTER", "SETSLOT", slot, "NODE", target)
		}
	}
	return nil
}

// giveSlot ends what moveKeys has begun.
func (w *world) giveSlot() error {
	w.undo()
	return nil
}
