# Reads logs of "go test -v". It prints the output of failed tests, and the output outside of tests.

/^=== (RUN|CONT|NAME|PAUSE) / { test = $3; next }
/^ *--- (PASS|SKIP): / { delete text[$3]; next }
/^ *--- FAIL: / { printf "%s%s\n", text[$3], $0; delete text[$3]; next }
/^(PASS|ok |exit status)/ { next }
/^(package|FAIL|panic|#)/ { test = "" }
test == "" { print; next }
{ text[test] = text[test] $0 "\n" }
END { for (t in text) printf "%s", text[t] } # a process that died tells no result
