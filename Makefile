# What a developer and CI run. Go, gcc and make are enough for `make test`; `make help` lists the rest.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := check
.DELETE_ON_ERROR:

# A workspace of the user's above this folder must not change what is tested.
export GOWORK := off

GO       ?= go
COUNT    ?= 1
FUZZTIME ?= 10s
SOAK     ?= 60s
BENCH    ?= .
CHAOS    ?= 60s

# Every module of the repository; the root is the one that users get.
MODULES := $(patsubst %/go.mod,%,$(wildcard go.mod */go.mod examples/*/go.mod))
MODULES := $(MODULES:go.mod=.)

# The packages whose statement coverage is reported.
COVERED := . ./cookie ./dbsc ./header ./memory ./redis ./sql/... ./sessionotel ./internal/...

LINT := bin/golangci-lint
LINT_PACKAGE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint

REDIS_INSTALL   := apt-get update && apt-get install -y --no-install-recommends redis-server
DATABASES_INSTALL := apt-get update && apt-get install -y --no-install-recommends postgresql mariadb-server pgbouncer
BROWSER_INSTALL := apt-get update && apt-get install -y --no-install-recommends chromium fonts-liberation

.PHONY: check help needs format fmt tidy tidy-root vet redis databases test audit soak servers chaos lint cover bench fuzz browser e2e clean

check: lint test ## format, lint, vet and test: the one command before a commit (the default)

help: ## this list
	@awk -F ':[^#]*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The race detector is cgo: without a C compiler go would test less, or fail with a riddle.
needs:
	@command -v $(GO) >/dev/null || { echo "make: Go is missing; go.mod names the version" >&2; exit 1; }
	@cc=$$($(GO) env CC); command -v $${cc%% *} >/dev/null || { \
		echo "make: the race detector needs a C compiler: apt-get install gcc libc6-dev" >&2; exit 1; }
	@test "$$($(GO) env CGO_ENABLED)" = 1 || { \
		echo "make: the race detector needs cgo: unset CGO_ENABLED" >&2; exit 1; }

format: needs ## fail on files that gofmt would change
	@out=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .); \
	test -z "$$out" || { printf 'not formatted (make fmt mends it):\n%s\n' "$$out" >&2; exit 1; }

fmt: $(LINT) ## format all files as lint wants them
	@for module in $(MODULES); do \
		(cd "$$module" && "$(CURDIR)/$(LINT)" fmt --config "$(CURDIR)/.golangci.yml" ./...); \
	done

tidy-root: needs
	$(GO) mod tidy -diff

tidy: needs ## fail where go mod tidy would change a go.mod or go.sum
	@for module in $(MODULES); do \
		echo "cd $$module && $(GO) mod tidy -diff"; \
		$(GO) -C "$$module" mod tidy -diff; \
	done

vet: needs ## go vet
	$(GO) vet ./...

# $$REDIS_SERVER is a server elsewhere. A daemon that a package may start is not used: tests start their own.
redis: ## install redis-server where it is missing (Debian, as root)
	@if test -n "$${REDIS_SERVER:-}" || command -v redis-server >/dev/null; then exit 0; fi; \
	if test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null; then \
		echo "make: the tests need redis-server: $(REDIS_INSTALL)" >&2; exit 1; \
	fi; \
	export DEBIAN_FRONTEND=noninteractive; $(REDIS_INSTALL)

# $$POSTGRES and $$MARIADBD are servers elsewhere. The policy keeps the packages from starting daemons: tests start their own.
databases: ## install PostgreSQL, MariaDB and pgbouncer where they are missing (Debian, as root)
	@has() { for name; do if test -x "$$name" || PATH="$$PATH:/usr/sbin" command -v "$$name" >/dev/null; then return 0; fi; done; return 1; }; \
	if (test -n "$${POSTGRES:-}" || has postgres /usr/lib/postgresql/*/bin/postgres) && \
		(test -n "$${MARIADBD:-}" || has mariadbd mysqld) && has pgbouncer; then exit 0; fi; \
	if test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null; then \
		echo "make: the tests need PostgreSQL, MariaDB and pgbouncer: $(DATABASES_INSTALL)" >&2; exit 1; \
	fi; \
	policy=/usr/sbin/policy-rc.d; \
	if ! test -e $$policy; then \
		trap 'rm -f '$$policy EXIT; printf '#!/bin/sh\nexit 101\n' >$$policy; chmod 755 $$policy; \
	fi; \
	export DEBIAN_FRONTEND=noninteractive; $(DATABASES_INSTALL)

# The demo site of examples/login compares passwords with bcrypt. The race detector makes that ten times slower, and has
# nothing to find in it: it has no goroutines.
UNRACED := -gcflags=golang.org/x/crypto/blowfish=-race=false

# The stores with servers come last and one by one, because their tests wait for real servers, some of them for milliseconds.
# Twice: the race detector slows everything down, and so hides some orders of events. Tests that wait for real servers
# learn nothing from that. The audit asks one thing after the other, so it runs without the detector only, and so do the
# explorers of memory and sealed where they try all orders: one step runs at a time.
test: format tidy-root vet redis databases ## all tests, with the race detector and without, but for the browser's (e2e)
	$(GO) test -race $(UNRACED) -shuffle=on -count=$(COUNT) -timeout=12m $$($(GO) list ./... | grep -v -e '/redis$$' -e '/sql$$' -e '/sqltest$$' -e '/sessionaudit$$')
	$(GO) test -race -shuffle=on -count=$(COUNT) -timeout=12m -p=1 ./redis ./sql ./internal/sqltest
	$(GO) test -C examples/store -race -shuffle=on -count=$(COUNT) -timeout=2m ./...
	$(GO) test -C examples/configfile -race -shuffle=on -count=$(COUNT) -timeout=2m ./...
	$(GO) test -shuffle=on -count=1 -timeout=6m $$($(GO) list ./... | grep -v -e '/redis$$' -e '/sql$$' -e '/redistest$$' -e '/sqltest$$' -e '/memory$$' -e '/sealed$$')
	$(GO) test -shuffle=on -count=1 -timeout=6m ./memory ./sealed -limit=0

audit: needs redis ## the tests of the security requirements, and their table with the results (three minutes)
	@GO="$(GO)" bash tools/audit.sh

soak: needs ## a thousand browsers at once through the middleware for SOAK (60s), each shown its own marker only
	$(GO) test -race -count=1 -timeout=20m -run '^TestSoak$$' -v ./test -soak $(SOAK)

servers: needs redis ## the conformance suite on older and newer servers, which it fetches (Debian)
	servers=$$(bash tools/servers.sh) && REDIS_SERVERS=$$(paste -sd: <<<"$$servers") \
		$(GO) test -count=1 -timeout=15m -parallel=6 -run Conformance -v ./redis -realtime | grep -E '^(---|    ---|ok|FAIL|panic)'

chaos: needs redis ## clients, failing servers and a broken network for CHAOS (60s), then all invariants
	$(GO) test -race -count=1 -timeout=10m -run "^TestChaos$$" -v ./redis -chaos $(CHAOS)

$(LINT): tools/go.mod tools/go.sum
	$(GO) build -C tools -buildvcs=false -o ../$@ $(LINT_PACKAGE)
	@touch $@

# tools/ holds no packages, so there is nothing to lint.
lint: needs $(LINT) tidy ## golangci-lint over all modules, and tidy
	@for module in $(filter-out tools,$(MODULES)); do \
		echo "cd $$module && golangci-lint run ./..."; \
		(cd "$$module" && "$(CURDIR)/$(LINT)" run --config "$(CURDIR)/.golangci.yml" ./...); \
	done

cover: needs ## statement coverage by package, then the lines that no test reaches
	@mkdir -p bin
	$(GO) test -count=1 -coverpkg="$$($(GO) list $(COVERED) | paste -sd, -)" -coverprofile=bin/cover.out ./... \
		| sed '/\tcoverage: 0.0% of statements$$/d; s/\tcoverage: .*//'
	@awk -f tools/cover.awk -v module="$$($(GO) list -m)/" bin/cover.out

bench: needs ## all benchmarks (BENCH=regexp for some)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...
	$(GO) test -C bench -bench '$(BENCH)' -benchmem ./...

fuzz: needs ## every fuzz target for FUZZTIME (10s)
	@GO="$(GO)" bash tools/fuzz.sh $(FUZZTIME)

browser: ## install Chromium where it is missing (Debian, as root)
	@for name in chromium chromium-browser google-chrome google-chrome-stable; do \
		if command -v $$name >/dev/null; then exit 0; fi; \
	done; \
	if test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null; then \
		echo "make: the browser tests need Chromium: $(BROWSER_INSTALL)" >&2; exit 1; \
	fi; \
	export DEBIAN_FRONTEND=noninteractive; $(BROWSER_INSTALL)

e2e: needs redis browser ## drive the login example in headless Chromium
	$(GO) test -C e2e -count=1 -timeout=8m ./...

clean: ## remove what the targets above built
	rm -rf bin e2e/artifacts
