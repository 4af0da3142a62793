package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/mist-contrib/session/internal/driver"
)

// TestSchemes looks up each scheme of the table of stores in docs/configuration.md.
// The program imports all stores.
func TestSchemes(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n## Stores\n")
	table, _, _ = strings.Cut(table, "\n## ")
	schemes := regexp.MustCompile("`([a-z+]+):").FindAllStringSubmatch(table, -1)
	if len(schemes) != 8 {
		t.Fatalf("the table has %d schemes, want 8", len(schemes))
	}
	for _, scheme := range schemes {
		if driver.Lookup(scheme[1]) == nil {
			t.Errorf("no store knows %s:", scheme[1])
		}
	}
}
