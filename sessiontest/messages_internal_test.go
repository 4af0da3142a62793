package sessiontest

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

// blemishes are what a reader of a message stumbles over.
func blemishes(text string) (all []string) {
	if strings.Contains(text, "%!") {
		all = append(all, "a verb that does not fit")
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if slices.Contains(lines[:i], line) {
			all = append(all, "a line twice")
		}
		if m := regexp.MustCompile(`got (.*), want (.*)$`).FindStringSubmatch(line); m != nil && m[1] == m[2] {
			all = append(all, "two equal sides")
		}
	}
	return all
}

// What a rule says of a store that breaks it can be read.
func TestMessages(t *testing.T) {
	beasts := zoo()
	for _, c := range chapters() {
		for _, r := range c.rules {
			for name, breed := range beasts[r.name] {
				t.Run(r.name+"/"+name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						h := zooHarness(func(t *testing.T) session.Store {
							b := &beast{Store: &memory.Store{IdleTimeout: zooIdle, AbsoluteTimeout: zooAbsolute}}
							breed(t, b)
							return b
						})
						if err := h.check(t, r); err != nil {
							for _, b := range blemishes(err.Error()) {
								t.Errorf("%s: %v", b, err)
							}
						}
					})
				})
			}
		}
	}
}
