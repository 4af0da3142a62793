package main

import (
	"net/http"
	"slices"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

// A Cart is how many of each article a visitor wants.
type Cart map[string]int

var (
	visits = session.NewKey[int]("visits")
	cart   = session.NewKey[Cart]("cart")
	flash  = session.NewKey[string]("flash") // a message for the next page, once

	articles = []string{"Apples", "Bread", "Coffee"}
)

// homePage is what the template "home" shows.
type homePage struct {
	User, Flash, SessionID string
	Visits                 int
	Articles               []string
	Cart                   Cart
}

func (s site) home(ctx *mist.Context, sess session.Session) error {
	reqctx := ctx.Request.Context()
	name, loggedIn, err := user.Get(reqctx, sess)
	if err != nil {
		return err
	}
	if !loggedIn {
		return session.ErrNotFound // the store failed half-way through the login
	}
	page := homePage{User: name, SessionID: sess.ID(), Articles: articles}
	if page.Cart, _, err = cart.Get(reqctx, sess); err != nil {
		return err
	}
	// Update counts each of two tabs that load at once.
	err = visits.Update(reqctx, sess, func(n int) (int, error) {
		page.Visits = n + 1
		return page.Visits, nil
	})
	if err != nil {
		return err
	}
	// Pop shows the message in one of them.
	if page.Flash, _, err = flash.Pop(reqctx, sess); err != nil {
		return err
	}
	show(ctx, http.StatusOK, "home", page)
	return nil
}

func (s site) add(ctx *mist.Context, sess session.Session) error {
	article := ctx.Request.PostFormValue("article")
	if !slices.Contains(articles, article) {
		return done(ctx, sess, "We do not have that.")
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
	return done(ctx, sess, article+": now in your cart.")
}

// order takes the cart out of the session: a double click orders once.
func (s site) order(ctx *mist.Context, sess session.Session) error {
	_, ordered, err := cart.Pop(ctx.Request.Context(), sess)
	if err != nil {
		return err
	}
	if !ordered {
		return done(ctx, sess, "Your cart is empty.")
	}
	return done(ctx, sess, "Thank you! Your order is on its way.")
}

// done ends a form: the browser loads the home page anew, which says message.
func done(ctx *mist.Context, sess session.Session, message string) error {
	if err := flash.Set(ctx.Request.Context(), sess, message); err != nil {
		return err
	}
	redirect(ctx, "/")
	return nil
}
