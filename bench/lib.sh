# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables for those who source this, and theirs
# What the benchmarks share: their switches, a build with a server and clients,
# topics and tables that begin alike, and what is told about the machine.
# Sourced, with "set -euo pipefail" on.

# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

# --- switches ---------------------------------------------------------------

quick=no rounds='' parts='' raw=''

usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; }

# take_switch SWITCH [VALUE]: one that all benchmarks have; sets $taken to the
# number of words.
take_switch() {
	taken=2
	case $1 in
		--quick) quick=yes taken=1 ;;
		--rounds) rounds=${2:?} ;;
		--only) parts=${2:?} ;;
		--raw) raw=${2:?} ;;
		-h | --help) usage; exit ;;
		*) usage >&2; exit 2 ;;
	esac
}

# listed WORD LIST: is it in the list, which has commas?
listed() { case ",$2," in *",$1,"*) ;; *) return 1 ;; esac; }
has_part() { listed "$1" "$parts"; }

# known SWITCH LIST ALL: dies if LIST has a word that ALL has not.
known() {
	local word
	for word in ${2//,/ }; do
		listed "$word" "$3" || die "$1 takes some of $3, not $word"
	done
}

# --- preparation ------------------------------------------------------------

quietly() {
	run_job "$@" >"$work/log" 2>&1
	[ $job_status = 0 ] || { cat "$work/log"; die "$1 failed"; }
}

sql() { as psql -XqAt -v ON_ERROR_STOP=1 "$@"; }

# client NAME SOURCE... [-lLIBRARY...]: compiles $work/tmp/NAME.
client() {
	local name=$1
	shift
	as env -C "$work/src/bench" gcc -O2 -pthread -I "$("$pg_config" --includedir)" \
		-L "$("$pg_config" --libdir)" -o "$work/tmp/$name" "$@"
}

# prepare RECORDS: everything up to a server that runs, with so many records in
# a file, and the client that produces.
prepare() {
	need_packages "${BUILD_PACKAGES[@]}" libpq-dev
	open_work
	say "building for $("$pg_config" --version)" >&2
	copy_tree "$work/src"
	quietly build "$work/src" with_llvm=no
	inst=$work/inst
	quietly install_build "$work/src" with_llvm=no
	driver=$work/tmp/driver records=$work/tmp/records
	quietly client genrec genrec.c
	quietly client driver driver.c pq.c bench.c -lpq
	as "$work/tmp/genrec" "$records" 100 "$1"
	start_server "fsync = on" "synchronous_commit = on" "shared_buffers = 2GB" \
		"max_wal_size = 8GB" "autovacuum = on" "max_connections = 200" "client_min_messages = warning"
	results=$work/tmp/results
	: >"$results"
}

# --- targets ----------------------------------------------------------------
# A target is "plain" or a topic of so many partitions, "topic4", perhaps with
# "-again" or another suffix; "none" is nothing.

table() { case $1 in plain*) say plain ;; *) say topic ;; esac; }

need_database() {
	[ -n "$(sql -c "SELECT 1 FROM pg_database WHERE datname = '$1'")" ] ||
		sql -c "CREATE DATABASE \"$1\""
}

# make_target TARGET [DATABASE]: makes the target anew, so that all runs begin
# alike: a new extension has a new tail.
make_target() {
	local sql=(sql -d "${2:-postgres}")
	"${sql[@]}" <<-SQL
		DROP EXTENSION IF EXISTS streamhouse CASCADE;
		DROP TABLE IF EXISTS plain;
	SQL
	case $1 in
		plain*) "${sql[@]}" -c 'CREATE TABLE plain (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text, value text)' ;;
		topic*)
			local n=${1%%-*}
			"${sql[@]}" -c 'CREATE EXTENSION streamhouse' \
				-c "SELECT streamhouse.create_topic('topic', partitions => ${n#topic}, columns => 'key text, value text')" >/dev/null
			;;
	esac
}

# What produces batches, from arrays of keys and of values.
batch_statement() {
	case $1 in
		plain*) say "INSERT INTO plain (key, value) SELECT * FROM unnest(\$1, \$2)" ;;
		*) say "SELECT streamhouse.produce_batch('topic', \$2, \$1)" ;;
	esac
}

# copy_rows TARGET ROWS [DATABASE]: by one COPY.
copy_rows() {
	as env PGDATABASE="${3:-postgres}" "$driver" copy "$records" \
		"COPY $(table "$1") (key, value) FROM STDIN (FORMAT binary)" "$2"
}

# send_batches TARGET ROWS [DATABASE]: by transactions of 1,000.
send_batches() {
	as env PGDATABASE="${3:-postgres}" "$driver" arrays "$records" "$(batch_statement "$1")" "$2" 1000
}

# --- runs -------------------------------------------------------------------

# in_turn ROUND TARGET...: sets $order; every second round turned round, so
# that what drifts does so for all of them.
in_turn() {
	local round=$1 target
	shift
	order=()
	for target; do
		if [ $((round % 2)) = 1 ]; then order+=("$target"); else order=("$target" "${order[@]}"); fi
	done
}

# Processor time since boot, idle and all, in ticks.
processor_time() { awk '/^cpu / { print $5 + $6, $2 + $3 + $4 + $5 + $6 + $7 + $8 + $9 }' /proc/stat; }

# What others do while we do nothing, in percent.
look_at_others() {
	local before after
	before=$(processor_time)
	sleep 0.1
	after=$(processor_time)
	say "$before $after" | awk '{ printf "%.1f\n", ($4 > $2) ? 100 - 100 * ($3 - $1) / ($4 - $2) : 0 }'
}

# --- the report -------------------------------------------------------------

describe_machine() {
	local git=(git -C "$top" -c safe.directory="$top")
	say "$(awk -F ': *' '/^model name/ { print $2; exit }' /proc/cpuinfo), $(nproc) processors," \
		"$(awk '/^MemTotal/ { printf "%d GB", $2 / 1e6 }' /proc/meminfo), $(findmnt -no FSTYPE -T "$work")," \
		"$("$pg_config" --version), StreamHouse $("${git[@]}" describe --always --dirty 2>/dev/null || echo 'without git')"
}

# report FILE [PSQL-ARGUMENT...]: what the results say, and the end.
report() {
	local file=$1
	shift
	[ -z "$raw" ] || cp "$results" "$raw"
	describe_machine
	cat "$work/src/bench/report.sql" "$work/src/bench/$file" |
		sql -f - -v results="$results" "$@"
	[ $quick = no ] || say "Runs of --quick are too short to quote."
	say "$rounds rounds took $SECONDS s."
	stop_server "$work/data"
}
