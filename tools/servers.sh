#!/usr/bin/env bash
# Fetches Redis-compatible servers for the tests that are older and newer than the redis-server of the machine's
# Debian release: servers.sh. It prints the path of each server that works, one per line, for REDIS_SERVERS:
#
#	servers=$(tools/servers.sh) && REDIS_SERVERS=$(paste -sd: <<<"$servers") go test ./...
#
# The packages come from other suites of the Debian mirror that apt already uses. apt verifies them with a configuration
# of its own. The script installs nothing: each server is in bin/servers/<name>-<version>, with the libraries of its suite.
# The script redis-server there becomes the server, so its pid is that of the server. A server that is already there is
# not fetched again; remove bin/servers to start over.
set -euo pipefail
shopt -s nullglob
export LC_ALL=C

# Each line has a suite, a suite that its packages depend on or -, and the names of the servers to look for. Of each
# series (8.0 for 8.0.2) the script takes the first server that it finds.
plan='bullseye - redis
bookworm-backports bookworm redict valkey
trixie - redis valkey
forky - redis valkey
experimental sid redis valkey'

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
servers=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/bin/servers
work='' # the temporary folder
server='' # the pid of the server under check

say() { echo "servers: $*" >&2; }

die() {
	say "$@"
	exit 1
}

cleanup() {
	if [[ -n $server ]]; then kill -KILL "$server" 2>/dev/null || true; fi
	if [[ -n $work ]]; then rm -rf "$work"; fi
}

# known suite name: succeeds if the script has looked for that entry of the plan before. Its mark contains the folder of
# the server. The mark is empty if the suite has no server that another suite has not.
known() {
	local mark=$servers/.marks/$1-$2 folder
	[[ -f $mark ]] || return 1
	folder=$(<"$mark")
	[[ -z $folder || -x $servers/$folder/redis-server ]]
}

# missing: prints the lines of the plan without the known entries.
missing() {
	local suite base names name left
	while read -r suite base names; do
		left=''
		for name in $names; do
			known "$suite" "$name" || left+=" $name"
		done
		if [[ -n $left ]]; then echo "$suite $base$left"; fi
	done <<<"$plan"
}

# print: prints the servers that are there, for each name the oldest first. It fails if none is newer than the machine's.
print() {
	local path newer=''
	while read -r path; do
		[[ -n $path ]] || continue
		echo "$path"
		[[ $path == */redis-6.* ]] || newer=yes
	done < <(printf '%s\n' "$servers"/*-*/redis-server | sort -V)
	[[ -n $newer ]]
}

# find_mirror: finds the Debian mirror in apt's configuration. Only Debian's archive has an -updates suite, so other
# sources for this release do not match.
find_mirror() {
	local codename
	codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release | tr -d '"')
	[[ -n $codename ]] || return 1
	apt-get update --print-uris 2>/dev/null |
		sed -n "s|^'\(.*\)/dists/$codename-updates/InRelease'.*|\1|p" | sed -n 1p
}

apt() { apt-get -q -c "$1/apt.conf" "${@:2}"; }

# look suite base name...: downloads the indexes of a suite to $work/suite. There name.version contains the version of
# a server, and name.packages the packages with libraries that this version needs.
look() {
	local suite=$1 base=$2 folder=$work/$1 name each
	mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
	: >"$folder/status"
	for each in "$suite" "${base#-}"; do
		[[ -z $each ]] ||
			echo "deb [arch=$architecture signed-by=$keyring target=Packages] $mirror $each main"
	done >"$folder/sources.list"
	# Given by -c, this is read after the machine's own configuration, of which only proxies and the like remain. With
	# an empty status file, all that a package depends on is to be installed.
	cat >"$folder/apt.conf" <<-END
		#clear APT::Update;
		#clear DPkg;
		Acquire::GzipIndexes "false";
		Acquire::Languages "none";
		Acquire::Retries "2";
		APT::Default-Release "$suite";
		APT::Install-Recommends "false";
		APT::Sandbox::User "root";
		APT::Update::Error-Mode "any";
		Dir::Cache "$folder/cache";
		Dir::Cache::PkgCache "pkgcache.bin";
		Dir::Cache::SrcPkgCache "srcpkgcache.bin";
		Dir::Etc::Preferences "/dev/null";
		Dir::Etc::PreferencesParts "/dev/null";
		Dir::Etc::SourceList "$folder/sources.list";
		Dir::Etc::SourceParts "/dev/null";
		Dir::State "$folder";
		Dir::State::Lists "$folder/lists";
		Dir::State::Status "$folder/status";
	END
	apt "$folder" update
	for name in "${@:3}"; do
		# The server is in name-tools, name-server has only the link to it, and what installs a service.
		if apt "$folder" --simulate install "$name-tools" >"$folder/$name.install"; then
			awk -v tools="$name-tools" '$1 == "Inst" && $2 == tools { sub(/^\((.*:)?/, "", $3); sub(/[-+~].*/, "", $3)
				print $3 }' "$folder/$name.install" >"$folder/$name.version"
			awk '$1 == "Inst" && $2 ~ /^(lib|lua|zlib)/ && $2 !~ /perl/ { print $2 }' \
				"$folder/$name.install" >"$folder/$name.packages"
		else
			: >"$folder/$name.version"
		fi
	done
}

# fetch suite name version: downloads and extracts a server and its libraries to $work/name-version.
fetch() {
	local folder=$work/$1 name=$2 out=$work/$2-$3 tree=$work/$2-$3.tree packages deb loader path
	local -a folders
	mkdir -p "$tree/debs" "$out/bin" "$out/lib"
	mapfile -t packages <"$folder/$name.packages"
	(cd "$tree/debs" && apt "$folder" download "$name-server" "$name-tools" "${packages[@]}")
	for deb in "$tree/debs"/*.deb; do
		dpkg -x "$deb" "$tree"
	done
	# The link in name-server is to a program with another name, by which it would know that it is to be another.
	cp -L "$tree/usr/bin/$name-server" "$out/bin/$name-server"
	folders=("$tree"/lib/*-linux-gnu* "$tree"/usr/lib/*-linux-gnu*)
	loader=$(find "${folders[@]}" -maxdepth 1 -name 'ld-linux*.so.*' -print -quit)
	cp -L "$loader" "$out/lib/${loader##*/}"
	(IFS=: && "$loader" --inhibit-cache --library-path "${folders[*]}" --list "$out/bin/$name-server") >"$tree/libraries"
	sed -n 's/^[[:space:]].* => \(.*\) (0x.*/\1/p' "$tree/libraries" >"$tree/paths"
	# These are loaded on demand, to look up names and to end threads.
	find "${folders[@]}" -maxdepth 1 \( -name 'libnss_dns.so.2' -o -name 'libnss_files.so.2' \
		-o -name 'libresolv.so.2' -o -name 'libgcc_s.so.1' \) >>"$tree/paths"
	while read -r path; do
		if [[ $path != "$tree"/* ]]; then
			echo "$name-$3: a library is not in its packages: $path" >&2
			return 1
		fi
		cp -L "$path" "$out/lib/"
	done <"$tree/paths"
	cat >"$out/redis-server" <<-END
		#!/bin/sh
		# Becomes the $name-server $3 of Debian $1, with the libraries of that suite.
		here=\$(dirname "\$(readlink -f "\$0")")
		# Where the Redis of Debian 11 looks for the cjson of its scripts; others have it built in.
		export LUA_CPATH="\$here/lib/liblua5.1-?.so.0"
		exec "\$here/lib/${loader##*/}" --library-path "\$here/lib" "\$here/bin/$name-server" "\$@"
	END
	chmod +x "$out/redis-server"
	rm -rf "$tree"
}

# answers port command...: prints the answers of the server to inline commands.
answers() {
	{
		printf '%s\r\n' "${@:2}" QUIT >&3
		timeout 5 cat <&3
	} 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$1"
}

# try folder cluster-enabled text...: starts the server in the folder and looks for the texts in its answers.
try() {
	local folder=$1 data=$1.data port text reply='' attempt tries ok
	for attempt in 1 2 3; do
		# The port of the cluster bus is higher by 10000, and both are below the ports that the kernel hands out.
		port=$((10000 + RANDOM % 10000))
		rm -rf "$data"
		mkdir "$data"
		"$folder/redis-server" --port "$port" --bind 127.0.0.1 --dir "$data" --save '' --cluster-enabled "$2" \
			>"$folder.log" 2>&1 </dev/null 9>&- &
		server=$!
		for ((tries = 0; tries < 100; tries++)); do
			reply=$(answers "$port" PING INFO 'INFO cluster' 'CLUSTER INFO' \
				"EVAL \"return 'eval ' .. cjson.encode({KEYS[1], ARGV[1]})\" 1 key value") 2>/dev/null || true
			if [[ -n $reply && $reply != -LOADING* ]] || ! kill -0 "$server" 2>/dev/null; then break; fi
			sleep 0.05
		done
		ok=yes
		for text in "process_id:$server" "${@:3}"; do
			if [[ $reply != *"$text"* ]]; then
				ok=''
				echo "no $text in the answers, attempt $attempt, cluster-enabled $2" >>"$folder.log"
			fi
		done
		[[ -n $ok ]] || echo "the answers end with" "$(tail -n 5 <<<"$reply")" >>"$folder.log"
		kill "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
		server=''
		if [[ -n $ok ]]; then return 0; fi
	done
	return 1
}

check() {
	local version
	version=$("$1/redis-server" --version 2>&1) || true
	if [[ $version != *"v=${1##*-} "* ]]; then
		echo "--version: $version" >"$1.log"
		return 1
	fi
	try "$1" no +PONG redis_version: cluster_enabled:0 'eval ["key","value"]' || return 1
	try "$1" yes +PONG cluster_enabled:1 cluster_state: cluster_slots_assigned:0
}

mkdir -p "$servers/.marks"
exec 9>"$servers/.lock"
flock 9
todo=$(missing)
none='no server newer than Redis 6 is there'
if [[ -z $todo ]]; then
	print || die "$none; remove $servers to look again"
	exit 0
fi

for each in apt-get dpkg; do
	command -v "$each" >/dev/null || die "$each is not there: this needs a Debian machine"
done
[[ -r $keyring ]] || die "$keyring is not there: install debian-archive-keyring"
mirror=$(find_mirror) || true
[[ -n $mirror ]] || die "apt has no source with a Debian mirror"
architecture=$(dpkg --print-architecture)
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
rm -rf "$servers"/.work.*
work=$(mktemp -d "$servers/.work.XXXXXX")

say "looking for servers in $(awk '{ printf "%s%s", sep, $1; sep = ", " }' <<<"$todo")"
pids=()
while read -r suite base names; do
	# shellcheck disable=SC2086 # the names are words
	look "$suite" "$base" $names >"$work/$suite.log" 2>&1 9>&- &
	pids+=("$!")
done <<<"$todo"

found=()
fetches=()
repeated=() # the entries whose series another suite has, marked once that works
taken=$(printf '%s\n' "$servers"/*-*/)
while read -r suite base names; do
	if ! wait "${pids[0]}"; then
		say "$suite cannot be used:"
		grep -E '^[EW]:' "$work/$suite.log" >&2 || tail -n 3 "$work/$suite.log" >&2
		names=''
	fi
	pids=("${pids[@]:1}")
	for name in $names; do
		version=$(<"$work/$suite/$name.version")
		series=$name-$(cut -d. -f1,2 <<<"$version")
		if [[ -z $version ]]; then
			: >"$servers/.marks/$suite-$name"
			continue
		elif [[ $taken == *"/$series."* ]]; then
			repeated+=("$suite-$name $series")
			continue
		fi
		taken+=" /$series."
		say "fetching $name $version of $suite"
		fetch "$suite" "$name" "$version" >"$work/$name-$version.log" 2>&1 9>&- &
		found+=("$suite $name $version")
		fetches+=("$!")
	done
done <<<"$todo"

for each in "${found[@]}"; do
	read -r suite name version <<<"$each"
	folder=$name-$version
	if ! wait "${fetches[0]}"; then
		say "$folder of $suite could not be fetched:"
		tail -n 5 "$work/$folder.log" >&2
	elif ! check "$work/$folder"; then
		say "$folder of $suite does not work:"
		tail -n 20 "$work/$folder.log" >&2
	else
		rm -rf "${servers:?}/$folder"
		mv "$work/$folder" "$servers/$folder"
		echo "$folder" >"$servers/.marks/$suite-$name"
		say "$folder of $suite works"
	fi
	fetches=("${fetches[@]:1}")
done

for each in "${repeated[@]}"; do
	for folder in "$servers/${each#* }".*/; do
		: >"$servers/.marks/${each% *}"
	done
done

print || die "$none"
