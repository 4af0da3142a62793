# The commands of developers and of CI. Go, gcc and make have to be there; `make test` installs servers that are missing (Debian, as
# root). `make help` lists all targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := check
.DELETE_ON_ERROR:

# A go.work above this folder must not change the tested code.
export GOWORK := off

GO       ?= go
# The race detector does not watch two packages, which are ten times slower when watched: the C code of SQLite, translated to Go,
# and the cipher of bcrypt, which examples/login hashes passwords with. Neither starts goroutines.
RACE     := -race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=golang.org/x/crypto/blowfish=-race=false
COUNT    ?= 1
FUZZTIME ?= 10s
SOAK     ?= 60s
BENCH    ?= .
CHAOS    ?= 60s

# All modules of the repository. Users get the root module.
MODULES := $(patsubst %/go.mod,%,$(wildcard go.mod */go.mod examples/*/go.mod))
MODULES := $(MODULES:go.mod=.)

# Packages in the coverage report.
COVERED := . ./cookie ./dbsc ./header ./memory ./redis ./sql/... ./sessionotel ./internal/...

LINT := bin/golangci-lint
LINT_PACKAGE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint

REDIS_INSTALL   := apt-get update && apt-get install -y --no-install-recommends redis-server
DATABASES_INSTALL := apt-get update && apt-get install -y --no-install-recommends postgresql mariadb-server pgbouncer
BROWSER_INSTALL := apt-get update && apt-get install -y --no-install-recommends chromium fonts-liberation

.PHONY: check help needs format fmt tidy tidy-root vet redis databases test audit soak servers chaos lint cover bench bench-peers fuzz browser e2e clean

check: lint test ## format, lint, vet and test; run it before each commit (the default)

help: ## print this list
	@awk -F ':[^#]*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The race detector needs cgo. Without a C compiler, go test would skip it or print an unclear error.
needs:
	@command -v $(GO) >/dev/null || { echo "make: install Go; go.mod names the version" >&2; exit 1; }
	@cc=$$($(GO) env CC); command -v $${cc%% *} >/dev/null || { \
		echo "make: the race detector needs a C compiler: apt-get install gcc libc6-dev" >&2; exit 1; }
	@test "$$($(GO) env CGO_ENABLED)" = 1 || { \
		echo "make: the race detector needs cgo: unset CGO_ENABLED" >&2; exit 1; }

format: needs ## fail if gofmt would change a file
	@out=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .); \
	test -z "$$out" || { printf 'not formatted (make fmt repairs it):\n%s\n' "$$out" >&2; exit 1; }

fmt: $(LINT) ## format all files as the linter demands
	@for module in $(MODULES); do \
		(cd "$$module" && "$(CURDIR)/$(LINT)" fmt --config "$(CURDIR)/.golangci.yml" ./...); \
	done

tidy-root: needs
	$(GO) mod tidy -diff

tidy: needs ## fail if go mod tidy would change a go.mod or go.sum
	@for module in $(MODULES); do \
		echo "cd $$module && $(GO) mod tidy -diff"; \
		$(GO) -C "$$module" mod tidy -diff; \
	done

vet: needs ## run go vet
	$(GO) vet ./...

# $$REDIS_SERVER is the path of another redis-server. Tests start their own servers, so they do not use a daemon of the package.
redis: ## install redis-server if it is missing (Debian, as root)
	@if test -n "$${REDIS_SERVER:-}" || command -v redis-server >/dev/null; then exit 0; fi; \
	if test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null; then \
		echo "make: the tests need redis-server: $(REDIS_INSTALL)" >&2; exit 1; \
	fi; \
	export DEBIAN_FRONTEND=noninteractive; $(REDIS_INSTALL)

# $$POSTGRES and $$MARIADBD are the paths of other servers. Tests start their own servers, so policy-rc.d stops the packages from starting daemons.
databases: ## install PostgreSQL, MariaDB and pgbouncer if they are missing (Debian, as root)
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

# Nearly all tests run with the race detector, and most of them again without it, because the detector slows the code down and so hides
# some orders of events. A second run of the tests that wait for real servers would find nothing new. Those tests run one package at a time,
# because some of them wait for milliseconds only. sessionaudit runs only without the detector, because it sends one request at a time.
# So do the explorers of memory and sealed when they try all orders (-limit=0), because they run one step at a time. On one processor
# (-cpu=1) they take half as long. Files with the build tag !race have tests that the detector disturbs or could not help.
test: format tidy-root vet redis databases ## run all tests except those in the browser (e2e), with and without the race detector
	$(GO) test $(RACE) -shuffle=on -count=$(COUNT) -timeout=12m $$($(GO) list ./... | grep -v -e '/redis$$' -e '/sql$$' -e '/sqltest$$' -e '/sessionaudit$$')
	$(GO) test $(RACE) -shuffle=on -count=$(COUNT) -timeout=12m -p=1 ./redis ./sql ./internal/sqltest
	$(GO) test -C examples/store -race -shuffle=on -count=$(COUNT) -timeout=2m ./...
	$(GO) test -C examples/configfile -race -shuffle=on -count=$(COUNT) -timeout=2m ./...
	$(GO) test -shuffle=on -count=1 -timeout=6m $$($(GO) list ./... | grep -v -e '/redis$$' -e '/sql$$' -e '/redistest$$' -e '/sqltest$$')
	$(GO) test -cpu=1 -count=1 -timeout=6m -run='^TestInterleavings$$' ./memory ./sealed -limit=0

audit: needs redis ## test the security requirements and print their table with the results (three minutes)
	@GO="$(GO)" bash tools/audit.sh

soak: needs ## send a thousand browsers at once for SOAK (60s); each must see only its own marker
	$(GO) test -race -count=1 -timeout=20m -run '^TestSoak$$' -v ./test -soak $(SOAK)

servers: needs redis ## fetch older and newer servers and run the conformance suite on them (Debian)
	servers=$$(bash tools/servers.sh) && REDIS_SERVERS=$$(paste -sd: <<<"$$servers") \
		$(GO) test -count=1 -timeout=15m -parallel=6 -run Conformance -v ./redis -realtime | grep -E '^(---|    ---|ok|FAIL|panic)'

chaos: needs redis ## run clients, failing servers and a broken network for CHAOS (60s), then check all invariants
	$(GO) test -race -count=1 -timeout=10m -run "^TestChaos$$" -v ./redis -chaos $(CHAOS)

$(LINT): tools/go.mod tools/go.sum
	$(GO) build -C tools -buildvcs=false -o ../$@ $(LINT_PACKAGE)
	@touch $@

# tools/ has no packages to lint.
lint: needs $(LINT) tidy ## run golangci-lint in all modules, and tidy
	@for module in $(filter-out tools,$(MODULES)); do \
		echo "cd $$module && golangci-lint run ./..."; \
		(cd "$$module" && "$(CURDIR)/$(LINT)" run --config "$(CURDIR)/.golangci.yml" ./...); \
	done

cover: needs ## print the statement coverage of each package and the lines that no test reaches
	@mkdir -p bin
	$(GO) test -count=1 -coverpkg="$$($(GO) list $(COVERED) | paste -sd, -)" -coverprofile=bin/cover.out ./... \
		| sed '/\tcoverage: 0.0% of statements$$/d; s/\tcoverage: .*//'
	@awk -f tools/cover.awk -v module="$$($(GO) list -m)/" bin/cover.out

bench: needs ## run all benchmarks, or those that BENCH=regexp matches
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...
	$(GO) test -C bench -bench '$(BENCH)' -benchmem ./...

bench-peers: needs redis databases ## measure this module beside four others, and print the tables of docs/performance.md
	$(GO) test -C bench -timeout=20m -run Test -bench 'Peers|Million|Load' -benchtime 1x ./peers

fuzz: needs ## run each fuzz target for FUZZTIME (10s)
	@GO="$(GO)" bash tools/fuzz.sh $(FUZZTIME)

browser: ## install Chromium if it is missing (Debian, as root)
	@for name in chromium chromium-browser google-chrome google-chrome-stable; do \
		if command -v $$name >/dev/null; then exit 0; fi; \
	done; \
	if test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null; then \
		echo "make: the browser tests need Chromium: $(BROWSER_INSTALL)" >&2; exit 1; \
	fi; \
	export DEBIAN_FRONTEND=noninteractive; $(BROWSER_INSTALL)

e2e: needs redis browser ## test the login example in headless Chromium
	$(GO) test -C e2e -count=1 -timeout=8m ./...

clean: ## remove the files that the other targets built
	rm -rf bin e2e/artifacts
