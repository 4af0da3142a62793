#!/usr/bin/env bash
# Runs every fuzz target of the module in the current folder: fuzz.sh [time, 10s].
set -euo pipefail

go=${GO:-go}
time=${1:-10s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# go test -list prints the targets of a package and then "ok <package>".
listing=$("$go" test -list '^Fuzz' ./...)
targets=$(awk '/^Fuzz/ { names[++n] = $1 }
	/^ok/ { for (i = 1; i <= n; i++) print $2, names[i]; n = 0 }' <<<"$listing")
if [[ -z $targets ]]; then
	echo "fuzz: no target found" >&2
	exit 1
fi

# The coordinator of Go before 1.27 races with its own deadline and may report it as a failure without an input
# (golang/go#75804). Only that is tried again; what a target finds always comes with an input or a panic.
ran_out_of_time() {
	grep -qx '    context deadline exceeded' "$log" && ! grep -qE 'Failing input|panic|fatal error|_test\.go:' "$log"
}

while read -r package name; do
	echo "== fuzz $name in $package, $time"
	for try in 1 2 3; do
		if "$go" test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$package" 2>&1 </dev/null | tee "$log"; then
			break
		fi
		if ((try == 3)) || ! ran_out_of_time; then
			echo "fuzz: $name failed" >&2
			exit 1
		fi
	done
done <<<"$targets"
echo "fuzz: $(wc -l <<<"$targets") targets, $time each, no finding"
