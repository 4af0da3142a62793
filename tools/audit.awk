# Reads logs of "go test -v", each after a line "package <folder>", and then the requirements that audit.sh found. It
# prints the requirements with the result of every test that they name.

FILENAME !~ /\/table$/ {
	if (FNR == 1) folder = $2
	# "    --- PASS: TestA/part/part (0.00s)": the result counts for the test and for each part of its name.
	if ($1 == "---" && $2 ~ /^(PASS|FAIL|SKIP):$/) {
		n = split($3, parts, "/")
		for (i = n > 1 ? 2 : 1; i <= n; i++) {
			key = folder "." parts[1] (i > 1 ? "/" parts[i] : "")
			if ($2 != "PASS:") result[key] = "FAILED"
			else if (!(key in result)) result[key] = "ok"
		}
	}
	next
}

{
	printf "\n%s  %s\n     %s\n", $1, $2, $3
	kind = $3
	sub(/ .*/, "", kind)
	count[kind]++
	n = split($4, spans, "`")
	for (i = 2; i <= n; i += 2) {
		key = spans[i]
		gsub(/ /, "_", key) # as the testing package does
		r = (key in result) ? result[key] : "no such test"
		if (r != "ok") bad++
		printf "     %-6s %s\n", r, spans[i]
	}
}

END {
	printf "\naudit: %d met, %d not met or not applicable; %d tests failed or are missing\n", count["met"], count["not"], bad
	exit bad > 0
}
