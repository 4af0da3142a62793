# Reads a Go cover profile and prints the statement coverage of each package, then the blocks that no test reached.
# The profile names a block once for each test binary. The block counts if one of the binaries reached it.
# Set -v module="<module path>/".

NR == 1 { next } # mode:

{
	if (!($1 in statements)) {
		order[++blocks] = $1
		statements[$1] = $2
	}
	reached[$1] += $3
}

END {
	for (i = 1; i <= blocks; i++) {
		block = order[i]
		package = block
		sub("/[^/]*$", "", package)
		if (!(package in all)) {
			packages[++count] = package
		}
		all[package] += statements[block]
		total += statements[block]
		if (reached[block] > 0) {
			covered[package] += statements[block]
			sum += statements[block]
		} else {
			missed[++misses] = block
		}
	}
	if (!total) {
		print "cover: the profile is empty"
		exit 1
	}
	print ""
	for (i = 1; i <= count; i++) {
		package = packages[i]
		printf "%6.1f %%  %5d of %5d  %s\n", 100 * covered[package] / all[package], covered[package], all[package], package
	}
	printf "%6.1f %%  %5d of %5d  total\n", 100 * sum / total, sum, total
	if (misses) {
		print "\nnot reached:"
	}
	for (i = 1; i <= misses; i++) {
		# path/file.go:12.3,14.5
		colon = index(missed[i], ":")
		file = substr(missed[i], 1, colon - 1)
		if (index(file, module) == 1) {
			file = substr(file, length(module) + 1)
		}
		split(substr(missed[i], colon + 1), at, /[.,]/)
		printf "  %s:%d%s\n", file, at[1], (at[3] + 0 > at[1] + 0 ? "-" at[3] : "")
	}
}
