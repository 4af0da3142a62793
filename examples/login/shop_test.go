package main

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mist-contrib/session/memory"
)

func TestVisits(t *testing.T) {
	site := open(t, &memory.Store{})
	v, other := visit(t, site), visit(t, site)
	v.login("ada", "engine")
	other.login("grace", "compiler")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { v.get("/") })
	}
	all.Wait()
	if got := v.get("/").element("visits"); got != "10" {
		t.Errorf("visits: got %s, want 10", got)
	}
	if got := other.get("/").element("visits"); got != "2" {
		t.Errorf("visits of another: got %s, want 2", got)
	}
}

func TestCart(t *testing.T) {
	v := visit(t, open(t, &memory.Store{}))
	v.login("ada", "engine")
	for _, step := range []struct{ path, article, cart, flash string }{
		{"/cart", "Bread", "Bread × 1", "Bread: now in your cart."},
		{"/cart", "Apples", "Apples × 1 Bread × 1", "Apples: now in your cart."},
		{"/cart", "Bread", "Apples × 1 Bread × 2", "Bread: now in your cart."},
		{"/cart", "<b>Gold</b>", "Apples × 1 Bread × 2", "We do not have that."},
		{"/order", "", "", "Thank you! Your order is on its way."},
		{"/order", "", "", "Your cart is empty."},
	} {
		home := v.post(step.path, "article", step.article)
		if home.cart() != step.cart || home.element("flash") != step.flash {
			t.Errorf("%s %s: got %q, %q, want %q, %q", step.path, step.article,
				home.cart(), home.element("flash"), step.cart, step.flash)
		}
		again := v.get("/")
		if again.cart() != step.cart || again.element("flash") != "" {
			t.Errorf("reload after %s %s: got %q, %q, want %q and no message", step.path, step.article,
				again.cart(), again.element("flash"), step.cart)
		}
	}
}

// A message is shown in one of many tabs that load at once.
func TestFlashOnce(t *testing.T) {
	v := visit(t, open(t, &memory.Store{}))
	v.login("ada", "engine")
	for range 2 {
		if status, err := v.ask(http.MethodPost, v.site.URL+"/cart", v.form("article", "Bread")); err != nil || status != http.StatusSeeOther {
			t.Fatalf("got status %d, %v, want 303", status, err)
		}
	}
	var (
		all   sync.WaitGroup
		shown atomic.Int32
	)
	for range 8 {
		all.Go(func() {
			if got := v.get("/"); got.element("flash") != "" {
				shown.Add(int32(strings.Count(got.body, "Bread: now in your cart.")))
			}
		})
	}
	all.Wait()
	if got := shown.Load(); got != 2 {
		t.Errorf("two messages: got them shown %d times, want 2", got)
	}
}
