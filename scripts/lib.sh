# shellcheck shell=bash
# What the scripts here share: packages, a copy of the tree, an unprivileged
# user, a private server that finds the build outside its own folders, and an
# end that leaves nothing running.  Sourced, with "set -euo pipefail" on.

pg_major=15
# shellcheck disable=SC2034 # for those who source this
BUILD_PACKAGES=("postgresql-$pg_major" "postgresql-server-dev-$pg_major"
	gcc libc6-dev make perl liblz4-dev libzstd-dev libcurl4-openssl-dev)
# A real S3 server for the tests of S3 (test/t/lib/Gateway.pm), 340 MB.
# shellcheck disable=SC2034 # for those who source this
GATEWAY_PACKAGES=(radosgw ceph-mon ceph-osd ceph-common)

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pg_config=/usr/lib/postgresql/$pg_major/bin/pg_config
keep=no

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }

# --- packages ---------------------------------------------------------------

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Installs those of the Debian packages named that are missing, and starts
# none of their services.
need_packages() {
	local p missing=()
	for p; do
		installed "$p" || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null ||
		die "this is not Debian; what these packages hold is needed: ${missing[*]}"
	is_root ||
		die "packages are missing; as root: apt-get install --no-install-recommends ${missing[*]}"
	say "installing ${missing[*]}"
	case " ${missing[*]} " in
		*" postgresql-$pg_major "*) without_cluster without_services apt_install "${missing[@]}" ;;
		*) without_services apt_install "${missing[@]}" ;;
	esac
}

apt_install() {
	local log
	log=$(mktemp)
	export DEBIAN_FRONTEND=noninteractive
	if ! { apt-get -q update && apt-get -q install -y --no-install-recommends "$@"; } \
		>"$log" 2>&1 </dev/null; then
		tail -n 20 "$log"
		rm -f "$log"
		die "apt-get could not install $*"
	fi
	rm -f "$log"
}

# The libraries that people use, for the tests of clients: psycopg, pgjdbc with
# a compiler, node-postgres.  Where there is an npm, node may not be Debian's.
client_packages() {
	say python3-psycopg libpostgresql-jdbc-java
	[ -x /usr/bin/javac ] || say ecj
	[ -x /usr/bin/npm ] || say node-pg
}

# Brings node-postgres into DIR/node_modules, unless Debian has brought it.
get_node_pg() {
	[ ! -x /usr/bin/npm ] ||
		npm install --prefix "$1" --no-audit --no-fund --ignore-scripts --silent pg
}

# Runs a command that installs the server's package, which would create and
# start a cluster if it were not told otherwise.
without_cluster() {
	local conf=/etc/postgresql-common/createcluster.conf status=0
	if [ -e $conf ]; then
		cp -p $conf $conf.before-streamhouse
		sed -i '/^[[:space:]]*create_main_cluster/d' $conf
	fi
	mkdir -p ${conf%/*}
	echo 'create_main_cluster = false' >>$conf
	("$@") || status=$?
	if [ -e $conf.before-streamhouse ]; then
		mv $conf.before-streamhouse $conf
	else
		say "no cluster was created: $conf says create_main_cluster = false"
	fi
	return $status
}

# Runs a command that installs packages of servers, which would start them if
# it were not told otherwise.
without_services() {
	local policy=/usr/sbin/policy-rc.d status=0
	if [ -e $policy ]; then
		mv $policy $policy.before-streamhouse
	fi
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	("$@") || status=$?
	if [ -e $policy.before-streamhouse ]; then
		mv $policy.before-streamhouse $policy
	else
		rm -f $policy
	fi
	return $status
}

# --- the temporary directory ------------------------------------------------

# Makes $work, which goes away at exit with all servers that run in it.  The
# server refuses to run as root; then user postgres owns it, else we do.
open_work() {
	work=$(readlink -f "$(mktemp -d "${TMPDIR:-/tmp}/streamhouse.XXXXXX")")
	trap close_work EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	mkdir "$work/tmp" "$work/socket"
	[ $keep = no ] || say "keeping $work"
	as_user=()
	if is_root && id postgres >/dev/null 2>&1; then
		as_user=(setpriv --reuid=postgres "--regid=$(id -g postgres)" --clear-groups)
		chown -R postgres: "$work"
	fi
}

close_work() {
	trap '' INT TERM HUP
	stop_job
	stop_servers
	[ $keep = yes ] || rm -rf "$work"
}

# as COMMAND...: as the unprivileged user, with a clean environment that
# leads to the private server.
as() {
	local bindir
	bindir=$("$pg_config" --bindir)
	# where the tree is, the user may have no business
	"${as_user[@]}" env -i -C "$work" HOME="$work" TMPDIR="$work/tmp" LC_ALL=C.UTF-8 \
		PATH="$bindir:/usr/bin:/bin" PGHOST="$work/socket" PGUSER=postgres \
		PGDATABASE=postgres STH_TEST_LONG="${STH_TEST_LONG:-}" "$@"
}

# run_job COMMAND...: in a process group of its own, so that all of it can be
# ended when we are; while it runs a signal reaches us at once.  How it ended
# stands in $job_status: a caller's "||" would switch off "set -e" in COMMAND.
job=
run_job() {
	job_status=0
	set -m
	"$@" </dev/null &
	job=$!
	set +m
	# shellcheck disable=SC2034 # for callers
	wait $job || job_status=$?
	job=
}

stop_job() {
	[ -n "$job" ] || return 0
	kill -TERM -- "-$job" 2>/dev/null || return 0
	wait_for 60 job_is_gone || kill -KILL -- "-$job" 2>/dev/null || true
}
job_is_gone() { ! kill -0 -- "-$job" 2>/dev/null; }

# wait_for SECONDS COMMAND...: until it succeeds; fails when the time is over.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

# --- build ------------------------------------------------------------------

# Copies the tree as git sees it, what is not committed included; all of it
# where git cannot say.  Then no build writes into the tree that we run from.
copy_tree() {
	local git=(git -C "$top" -c safe.directory="$top")
	mkdir -p "$1"
	if [ -e "$top/.git" ] && "${git[@]}" rev-parse >/dev/null 2>&1; then
		"${git[@]}" ls-files -z --cached --others --exclude-standard --deduplicate |
			while IFS= read -r -d '' f; do
				[ ! -e "$top/$f" ] || printf '%s\0' "$f"
			done
	else
		printf '.\0'
	fi | tar -C "$top" --exclude=./.git --null -T - -cf - | tar -C "$1" -xf -
	[ ${#as_user[@]} = 0 ] || chown -R postgres: "$1"
}

# build DIR VARIABLE=VALUE...: compiles there.
build() {
	local dir=$1
	shift
	as make -C "$dir" -s -j "$(nproc)" "PG_CONFIG=$pg_config" "$@"
}

# install_build DIR VARIABLE=VALUE...: into $inst, from where the server takes
# it by extension_conf, so that its own folders are left alone.  A server
# that cannot do that gets it into its own folders if it is not the system's.
install_build() {
	local dir=$1
	shift
	inst=$work/inst
	if [ -z "$(extension_path_setting)" ]; then
		case $("$pg_config" --pkglibdir) in
			/usr/lib/*) die "$("$pg_config" --version) takes extensions from its own folders only" ;;
		esac
		inst=
		make -C "$dir" -s "PG_CONFIG=$pg_config" "$@" install
	else
		as make -C "$dir" -s "PG_CONFIG=$pg_config" "DESTDIR=$inst" "$@" install
	fi
}

# The setting that makes the server look for extensions elsewhere: PostgreSQL
# has one since 18, Debian's packages one of their own before.
extension_path_setting() {
	"$("$pg_config" --bindir)/postgres" --describe-config | cut -f 1 |
		grep -xE 'extension_control_path|extension_destdir' | sort | head -n 1
}

extension_conf() {
	if [ -n "$inst" ]; then
		case $(extension_path_setting) in
			extension_control_path)
				say "extension_control_path = '$inst$("$pg_config" --sharedir):\$system'" ;;
			extension_destdir)
				say "extension_destdir = '$inst'" ;;
		esac
		say "dynamic_library_path = '$inst$("$pg_config" --pkglibdir):\$libdir'"
	fi
	say "shared_preload_libraries = 'streamhouse'"
}

# --- the server -------------------------------------------------------------

# start_server SETTING...: a private one in $work, reached by its socket only.
start_server() {
	as initdb -D "$work/data" -U postgres -A trust -N --no-instructions >"$work/initdb.log" 2>&1 || {
		cat "$work/initdb.log"
		return 1
	}
	{
		say "listen_addresses = ''"
		say "unix_socket_directories = '$work/socket'"
		extension_conf
		printf '%s\n' "$@"
	} >>"$work/data/postgresql.conf"
	as pg_ctl -s -w -t 60 -D "$work/data" -l "$work/server.log" start || {
		tail -n 20 "$work/server.log"
		return 1
	}
}

# stop_server DATADIR [SECONDS]: fast, or immediately when the time is over.
stop_server() {
	local pid
	pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null) || return 0
	! has_left "$pid" "$1" || return 0
	kill -INT "$pid"
	wait_for "${2:-30}" has_left "$pid" "$1" && return
	say "the server in $1 does not stop"
	kill -QUIT "$pid" || true
	wait_for 10 has_left "$pid" "$1" || kill -KILL "$pid" || true
	return 1
}
# A pid file may be stale and its pid another's: a server works in its DATADIR.
has_left() { [ "$(readlink "/proc/$1/cwd")" != "$2" ]; }

# Every server that still runs in $work, also those that a test left behind.
stop_servers() {
	local file
	find "$work" -name postmaster.pid | while read -r file; do
		stop_server "${file%/*}" 10 || true
	done
}
