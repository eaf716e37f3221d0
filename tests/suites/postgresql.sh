#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# PostgreSQL's own regression and isolation tests against the distribution's server, whose data directory, like the tests' results,
# lies in the volume. Whole: both schedules with all their concurrency; else some groups of each.
# deadline: 300

# A child of this shell, so that its end can be waited for.
start() {
    local end=$((SECONDS + 60))
    postgres -D data -k "$PGHOST" -h '' >>log 2>&1 &
    server=$!
    until pg_isready -q; do
        kill -0 $server 2>/dev/null && [ $SECONDS -lt $end ] || { cat log; return 1; }
    done
}

# verdicts SUITE: pg_regress's lines as results.
verdicts() {
    sed -En -e "s@^(test|    ) +([^ ]+) +\.\.\. ok.*@ok $1/\2@p" -e "s@^(test|    ) +([^ ]+) +\.\.\. FAILED.*@bad $1/\2@p" \
        -e "s@^(test|    ) +([^ ]+) +\.\.\. failed \(ignored\).*@skipped $1/\2@p" "$1.out" >>"$RESULTS"
}

# schedule FILE: all of it, or, for the slice, what has to do with files and stands on test_setup alone.
schedule() {
    if [ "$WHOLE" = yes ]; then
        cat "$1"
    elif [ "$(basename "$1")" = parallel_schedule ]; then
        printf 'test: %s\n' test_setup tablespace 'boolean int4 text numeric' copy create_index 'vacuum truncate temp' largeobject
    else
        printf 'test: %s\n' read-write-unique vacuum-concurrent-drop reindex-concurrently freeze-the-dead
    fi
}

work() {
    set -e
    local src=$SUITES/postgresql build=$SUITES/postgresql/build libs
    export HOME=$PWD PGUSER=tester
    libs=$build/src/test/regress
    initdb -D data -k -U tester -A trust --no-locale -E UTF8 >initdb.out || { cat initdb.out; return 1; }
    printf '%s\n' 'max_connections = 60' 'shared_buffers = 32MB' 'max_wal_size = 128MB' 'max_prepared_transactions = 10' \
        'autovacuum_naptime = 2s' 'log_autovacuum_min_duration = -1' "${CONF[@]}" >>data/postgresql.conf
    start
    trap 'kill -QUIT $server; wait $server' EXIT
    schedule "$src/src/test/regress/parallel_schedule" >parallel
    schedule "$src/src/test/isolation/isolation_schedule" >isolated
    mkdir out iso
    "$build/src/test/regress/pg_regress" --inputdir="$src/src/test/regress" --outputdir=out --bindir="$(dirname "$(type -P postgres)")" \
        --dlpath="$libs" --max-concurrent-tests=20 --host="$PGHOST" --user=tester --schedule=parallel >regress.out 2>&1 || tail -n 5 regress.out
    verdicts regress
    cat out/regression.diffs 2>/dev/null || :
    "$build/src/test/isolation/pg_isolation_regress" --inputdir="$src/src/test/isolation" --outputdir=iso \
        --bindir="$build/src/test/isolation" --dlpath="$libs" --host="$PGHOST" --user=tester --schedule=isolated >isolation.out 2>&1 ||
        tail -n 5 isolation.out
    verdicts isolation
    cat iso/output_iso/regression.diffs 2>/dev/null || :
    trap - EXIT
    pg_ctl -D data -w -s -m fast stop
    wait $server || :
    grep -aE 'PANIC|could not (fsync|open|read|write|stat|rename|unlink|remove)' log | grep -vE 'STATEMENT' || :
    pg_checksums --check -D data | grep 'Bad checksums'
    echo ok checksums >>"$RESULTS"
}

PATH=$(printf '%s:' /usr/lib/postgresql/*/bin)$PATH
CONF=()
if [ "${1:-}" = work ]; then work; exit; fi
. "$(dirname "$0")/lib.sh"
need initdb pg_ctl psql setpriv
need_built postgresql/build/src/test/isolation/isolationtester
be_user 65534
"${as_user[@]}" test -x "$SUITES/postgresql/build/src/test/isolation/isolationtester" || skip_all "an ordinary user can't run what is in $SUITES"
mkdir "$TMP/socket"
chown 65534:65534 "$TMP/socket"
export PGHOST=$TMP/socket
roads 90 1800
finish
