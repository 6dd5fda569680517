# shellcheck shell=bash
# shellcheck disable=SC2016,SC2154 # formats of others; variables of lib.sh
# Servers other than Debian 12's, to test on: those of later Debian releases,
# each in a chroot, and one built from source with its assertions on.  All
# are kept in $cache, with what was downloaded for them.  Sourced after lib.sh.

cache=${XDG_CACHE_HOME:-/var/cache}/streamhouse-test

# Packages come from where this machine's own come from.
repositories() { # repositories FORMAT CONDITION...
	local format=$1
	shift
	apt-get indextargets --format "$format" 'Created-By: Packages' 'Origin: Debian' "$@"
}

# --- chroots ----------------------------------------------------------------

# Makes $cache/pg<major>, the Debian release with that PostgreSQL and what the
# tests want, if it is not there yet.
make_chroot() {
	local major=$1 dir=$cache/pg$1 debs options='' suite packages
	case $major in
		15) suite=bookworm ;;
		17) suite=trixie ;;
		# A mirror's copy of sid may be older than its signature's date allows;
		# the signature itself is still verified.
		18) suite=sid options='[check-valid-until=no]' ;;
		*) die "no Debian release has PostgreSQL $major: --pg takes 15, 17 or 18" ;;
	esac
	packages=postgresql-$major,postgresql-server-dev-$major
	packages+=,gcc,libc6-dev,make,perl,liblz4-dev,libzstd-dev,libcurl4-openssl-dev,libipc-run-perl
	# A later Ceph than Debian 12's; sid's cannot be installed at all times.
	[ "$major" != 17 ] || packages+=$(printf ',%s' "${GATEWAY_PACKAGES[@]}")
	is_root || die "--pg needs root, to make and enter a chroot"
	[ "$(cat "$dir.packages" 2>/dev/null)" != "$suite $packages" ] || return 0

	need_packages mmdebstrap
	[ -n "$(repositories '$(REPO_URI)' 'Label: Debian')" ] || apt-get -q update >/dev/null
	say "making a chroot of $suite with PostgreSQL $major in $dir (a minute or two, 1.4 to 2 GB)"
	debs=$cache/debs-$suite
	mkdir -p "$debs"
	rm -rf "$dir" "$dir.packages"
	mmdebstrap --quiet --mode=root --variant=apt --include="$packages" \
		--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--skip=download/empty --skip=essential/unlink --skip=cleanup/apt \
		--setup-hook='mkdir -p "$1/var/cache/apt/archives" "$1/etc/postgresql-common"' \
		--setup-hook='echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"' \
		--setup-hook="find '$debs' -name '*.deb' -exec cp -t \"\$1/var/cache/apt/archives\" {} +" \
		--customize-hook="cp -n \"\$1\"/var/cache/apt/archives/*.deb '$debs'" \
		--customize-hook='rm -f "$1"/var/cache/apt/archives/*.deb; rm -rf "$1"/var/lib/apt/lists/*' \
		"$suite" "$dir" \
		"deb $options $(repositories '$(REPO_URI)' 'Label: Debian' | head -n 1) $suite main" >&2 ||
		die "could not make the chroot"
	echo "$suite $packages" >"$dir.packages"
}

# Runs scripts/test of a copy of the tree in the chroot, with its output on
# ours.  The namespaces end with us, and all mounts and processes with them.
test_in_chroot() {
	local root=$cache/pg$1 major=$1
	shift
	mkdir -m 1777 "$work/chroot-tmp"
	copy_tree "$work/chroot-tmp/tree"
	unshare --mount --pid --fork --kill-child bash -euc '
		root=$1 tmp=$2
		shift 2
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs tmpfs "$root/dev/shm"
		mount --bind "$tmp" "$root/tmp"
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
			"STH_TEST_LONG=${STH_TEST_LONG:-}" bash /tmp/tree/scripts/test "$@"
	' _ "$root" "$work/chroot-tmp" \
		--pg-config "/usr/lib/postgresql/$major/bin/pg_config" "$@"
}

# --- a server with assertions ------------------------------------------------

# Builds Debian 12's PostgreSQL with its assertions on, into $cache/cassert.
make_cassert_server() {
	local dir=$cache/cassert version
	[ ! -x "$dir/bin/postgres" ] || return 0
	is_root || die "building the server with assertions needs root"
	need_packages gcc libc6-dev make perl bison flex dpkg-dev zlib1g-dev liblz4-dev libzstd-dev libcurl4-openssl-dev libipc-run-perl \
		"postgresql-$pg_major"
	say "building PostgreSQL $pg_major with assertions in $dir (some minutes)"
	rm -rf "$dir" "$dir.build"
	mkdir -p "$dir" "$dir.build"
	get_source "$dir.build" || die "could not get the source of postgresql-$pg_major"
	chown -R postgres: "$dir" "$dir.build"
	# As a user who cannot write elsewhere, whatever the source's makefiles say:
	# Debian's put the library directory where the packages have it.
	if ! setpriv --reuid=postgres --regid="$(id -g postgres)" --clear-groups bash -eu >"$dir.build/log" 2>&1 <<-BUILD; then
		cd "$dir.build"/postgresql-$pg_major-*/
		sed -i '/^override pkglibdir/d' src/Makefile.global.in
		./configure -q --prefix="$dir" --enable-cassert --enable-debug --enable-tap-tests \
			--without-readline --without-icu --with-lz4 CFLAGS='-O1 -g -fno-omit-frame-pointer'
		make -s -j "$(nproc)" && make -s -j "$(nproc)" -C contrib
		make -s install && make -s -C contrib install
	BUILD
		rm -rf "$dir"
		tail -n 20 "$dir.build/log"
		die "could not build PostgreSQL; see $dir.build"
	fi
	rm -rf "$dir.build"
}

# Unpacks the newest source that can be had; a mirror may lack the last one.
get_source() {
	local dir=$1 apt version
	mkdir -p "$dir/apt/lists/partial" "$dir/apt/archives/partial"
	repositories 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(REPO_URI) $(RELEASE) main' \
		>"$dir/apt/sources.list"
	apt=(-q -o "Dir::Etc::SourceList=$dir/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o "Dir::State::Lists=$dir/apt/lists" -o "Dir::Cache=$dir/apt")
	apt-get "${apt[@]}" update >/dev/null
	for version in $(apt-cache "${apt[@]}" showsrc "postgresql-$pg_major" |
		sed -n 's/^Version: //p' | sort -ruV); do
		(cd "$dir" && apt-get "${apt[@]}" source "postgresql-$pg_major=$version") \
			>"$dir/log" 2>&1 && return
	done
	tail -n 5 "$dir/log"
	return 1
}
