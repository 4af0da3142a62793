#!/usr/bin/env bash
# Runs the tests that the table of docs/security.md names, and prints the table with the result of each test. It fails if
# a test fails or does not exist. Run it in the folder of the module: audit.sh
set -euo pipefail

go=${GO:-go}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# The table has one line for each requirement: id, requirement, status and tests, separated by tabs. "`" separates the tests.
awk -F '|' '/^\| R[0-9]+ \|/ {
	for (i = 2; i <= 6; i++) gsub(/^ +| +$/, "", $i)
	print $2 "\t" $3 "\t" $5 "\t" $6
}' docs/security.md >"$out/table"

# The list of packages has one line for each: its folder and a regexp of its tests. Packages are tested one after the other,
# because the tests of Redis wait for real deadlines.
awk -F '\t' '{
	n = split($4, spans, "`")
	for (i = 2; i <= n; i += 2) {
		dot = index(spans[i], ".")
		folder = substr(spans[i], 1, dot - 1)
		test = substr(spans[i], dot + 1)
		sub(/\/.*/, "", test)
		if (!seen[folder, test]++) tests[folder] = tests[folder] (tests[folder] == "" ? "" : "|") test
	}
}
END { for (folder in tests) print folder, tests[folder] }' "$out/table" | sort >"$out/packages"

echo "audit: $(wc -l <"$out/table") requirements, $(tr ' |' '\n' <"$out/packages" | grep -cE '^(Test|Fuzz)') tests of $(wc -l <"$out/packages") packages"
while read -r folder tests; do
	path=./$folder
	if [[ $folder == session ]]; then path=.; fi
	log=$out/${folder//\//-}.log
	echo "package $folder" >"$log"
	"$go" test -count=1 -timeout=8m -v -run "^($tests)\$" "$path" >>"$log" 2>&1 </dev/null || true # the log tells
done <"$out/packages"

status=0
awk -f tools/audit.awk "$out"/*.log FS='\t' "$out/table" >"$out/result" || status=$?
if ((status)); then
	for log in "$out"/*.log; do
		if ! grep -q '^ok ' "$log"; then awk -f tools/failures.awk "$log" | head -n 50; fi
	done
fi
cat "$out/result"
exit "$status"
