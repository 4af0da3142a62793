package main

import (
	"errors"
	"net/http"
	"slices"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

// A Cart counts the articles that a visitor wants.
type Cart map[string]int

var (
	visits = session.NewKey[int]("visits")
	cart   = session.NewKey[Cart]("cart")

	articles = []string{"Apples", "Bread", "Coffee"}
)

// homePage is what the template "home" shows.
type homePage struct {
	frame
	SessionID string
	Visits    int
	Articles  []string
	Cart      Cart
}

// front shows the login form to visitors, and the home page to users.
func (s site) front(ctx *mist.Context) {
	_, err := s.sessions.User(ctx)
	if errors.Is(err, session.ErrNotFound) && !unrefreshed(ctx) {
		s.showLogin(ctx, http.StatusUnauthorized, loginPage{})
		return
	}
	s.private(s.home)(ctx)
}

func (s site) home(ctx *mist.Context, sess session.Session) (err error) {
	reqctx := ctx.Request.Context()
	page := homePage{SessionID: sess.ID(), Articles: articles}
	if page.Cart, _, err = cart.Get(reqctx, sess); err != nil {
		return err
	}
	// Update loses no visit if two tabs load at the same time.
	err = visits.Update(reqctx, sess, func(n int) (int, error) {
		page.Visits = n + 1
		return page.Visits, nil
	})
	if err != nil {
		return err
	}
	if page.frame, err = newFrame(ctx, sess); err != nil {
		return err
	}
	show(ctx, http.StatusOK, "home", page)
	return nil
}

func (s site) add(ctx *mist.Context, sess session.Session) error {
	article := ctx.Request.PostFormValue("article")
	if !slices.Contains(articles, article) {
		return done(ctx, sess, "/", "We do not have that.")
	}
	err := cart.Update(ctx.Request.Context(), sess, func(c Cart) (Cart, error) {
		if c == nil {
			c = Cart{}
		}
		c[article]++
		return c, nil
	})
	if err != nil {
		return err
	}
	return done(ctx, sess, "/", article+": now in your cart.")
}

// order removes the cart from the session, so a double click orders once.
func (s site) order(ctx *mist.Context, sess session.Session) error {
	_, ordered, err := cart.Pop(ctx.Request.Context(), sess)
	if err != nil {
		return err
	}
	if !ordered {
		return done(ctx, sess, "/", "Your cart is empty.")
	}
	return done(ctx, sess, "/", "Thank you! Your order is on its way.")
}
