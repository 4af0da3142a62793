#!/usr/bin/env bash
# Runs every fuzz target of the module in the current folder: fuzz.sh [time, 10s]. Each package is compiled once.
set -euo pipefail

go=${GO:-go}
time=${1:-10s}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cache=$("$go" env GOCACHE)/fuzz # go test keeps inputs there, too

# Before Go 1.27 the fuzzing coordinator races with its own deadline, and may report a failure without an input
# (golang/go#75804). The script repeats only such runs: a real finding always has an input or a panic.
ran_out_of_time() {
	grep -qx '    context deadline exceeded' "$out/log" && ! grep -qE 'Failing input|panic|fatal error|_test\.go:' "$out/log"
}

targets=0
while read -r package folder; do
	"$go" test -c -fuzz . -o "$out/test" "$package"
	for name in $("$out/test" -test.list '^Fuzz'); do
		echo "== fuzz $name in $package, $time"
		for try in 1 2 3; do
			if (cd "$folder" && "$out/test" -test.run '^$' -test.fuzz "^$name\$" -test.fuzztime "$time" \
				-test.fuzzcachedir "$cache/$package" 2>&1 </dev/null) | tee "$out/log"; then
				break
			fi
			if ((try == 3)) || ! ran_out_of_time; then
				echo "fuzz: $name failed" >&2
				exit 1
			fi
		done
		targets=$((targets + 1))
	done
done < <("$go" list -f '{{.ImportPath}} {{.Dir}}' ./... | while read -r package folder; do
	if grep -qs '^func Fuzz' "$folder"/*_test.go; then echo "$package $folder"; fi
done)
if ((targets == 0)); then
	echo "fuzz: no target found" >&2
	exit 1
fi
echo "fuzz: $targets targets, $time each, no finding"
