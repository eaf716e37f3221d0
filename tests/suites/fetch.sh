#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Gets the sources of PostgreSQL and SQLite that belong to the installed packages and builds what their own tests need. Debian's archive
# is asked with lists of its own in DIR: the machine's sources of packages stay as they are.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
    cat <<'END'
usage: tests/suites/fetch.sh [DIR]
  DIR   where they go (default: build/suites; ZIO_SUITES tells the suites of another place)
Needs apt-get, dpkg-source (dpkg-dev), gcc, make, tcl-dev, and about 600 MB. Again, it does only what is missing.
Exit codes: 0 done, 1 a step failed, 2 wrong usage.
END
}

case ${1:-} in -*) usage; [ "$1" = -h ] || [ "$1" = --help ] || exit 2; exit 0 ;; esac
[ $# -le 1 ] || { usage >&2; exit 2; }
mkdir -p "${1:-build/suites}"
dir=$(realpath "${1:-build/suites}")
log=$dir/fetch.log
: >"$log"

say() {
    printf 'fetch: %s\n' "$*"
}

# run WHAT COMMAND...
run() {
    say "$1"
    shift
    "$@" >>"$log" 2>&1 || { tail -n 20 "$log" | sed 's/^/    /' >&2; say "that failed: $*; the whole log is in $log"; exit 1; }
}

for p in apt-get dpkg-source gcc make; do
    command -v $p >/dev/null || { say "$p is missing (apt-get install dpkg-dev gcc make tcl-dev)"; exit 1; }
done
tcl=$(find /usr/lib -name tclConfig.sh -path '*tcl8*' -printf '%h\n' -quit)

# The archive that the installed packages come from, with sources.
mkdir -p "$dir/apt/lists/partial" "$dir/apt/archives/partial"
# shellcheck disable=SC1091
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:?}")
for suite in "debian $codename" "debian $codename-updates" "debian-security $codename-security"; do
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/${suite% *} ${suite#* } main"
done >"$dir/apt/sources.list"
apt=(-q -o "Dir::Etc::sourcelist=$dir/apt/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$dir/apt/lists"
    -o "Dir::Cache=$dir/apt" -o APT::Sandbox::User=root)

# source NAME PACKAGE SOURCE: the sources of the installed PACKAGE in $dir/NAME; of the newest where the archive has those no longer.
source_of() {
    local version
    [ ! -e "$dir/$1/.complete" ] || return 0
    rm -rf "${dir:?}/$1" "$dir/get"
    mkdir "$dir/get"
    [ -e "$dir/apt/updated" ] || run "asking the archive" apt-get "${apt[@]}" update
    : >"$dir/apt/updated"
    version=$(dpkg-query -W -f '${source:Version}' "$2" 2>/dev/null || :)
    cd "$dir/get"
    if [ -z "$version" ] || ! apt-get "${apt[@]}" source "$3=$version" >>"$log" 2>&1; then
        run "getting $3" apt-get "${apt[@]}" source "$3"
    fi
    mv "$(find . -mindepth 1 -maxdepth 1 -type d)" "$dir/$1"
    rm -rf "$dir/get"
    : >"$dir/$1/.complete"
}

# The drivers of the tests and the functions that they load; the server is the distribution's.
postgresql() {
    local major
    major=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort -n | tail -n 1)
    [ -n "$major" ] || { say "PostgreSQL is not installed; its suite is left out (apt-get install postgresql)"; return 0; }
    source_of postgresql "postgresql-$major" "postgresql-$major"
    [ ! -e "$dir/postgresql/build/src/test/isolation/isolationtester" ] || return 0
    mkdir -p "$dir/postgresql/build"
    cd "$dir/postgresql/build"
    run "configuring PostgreSQL" env CFLAGS=-O1 ../configure --without-readline --without-zlib --without-icu
    for part in 'src/backend generated-headers' 'src/test/regress all' 'contrib/spi all' 'src/test/isolation all'; do
        run "building PostgreSQL's ${part% *}" make -j"$(nproc)" -C "${part% *}" "${part#* }"
    done
}

sqlite() {
    [ -n "$tcl" ] || { say "Tcl's headers are missing; SQLite's suite is left out (apt-get install tcl-dev)"; return 0; }
    source_of sqlite libsqlite3-0 sqlite3
    [ ! -x "$dir/sqlite/build/testfixture" ] || return 0
    mkdir -p "$dir/sqlite/build"
    cd "$dir/sqlite/build"
    run "configuring SQLite" env CFLAGS=-O1 ../configure --enable-all "--with-tcl=$tcl"
    run "building SQLite's testfixture" make testfixture
}

postgresql
sqlite
say "done: $dir"
