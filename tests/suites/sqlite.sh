#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SQLite's own tests, its databases in the volume: testfixture, which has a SQLite of its own inside. Whole: "veryquick" (some 300,000
# tests) and what it leaves out of the tests of files: kill, crash, many processes and threads, mappings, large files. Else some of those.
# deadline: 300

more='crash crash2 crash3 crash4 crash5 crash6 crash7 crash8 walcrash walcrash2 walcrash3 walthread walslow thread001 thread002 thread003
 thread004 thread005 mmap4 writecrash bigfile bigfile2 ioerr ioerr2 ioerr3 ioerr4 ioerr5 ioerr6 backup backup_ioerr autovacuum_crash
 pagerfault2 savepoint4 incrvacuum_ioerr walprotocol trans2 corrupt misc7 shared_err'
slice='lock lock2 lock4 lock5 symlink tempdb journal1 journal2 wal walrestart walpersist walnoshm mmap1 mmap3 crash8 io superlock exclusive
 nolock backup2 walro delete_db readonly'

# one FILE: a test file in a process of its own; an end that was not told is a failure of its own.
one() {
    "$SUITES/sqlite/build/testfixture" "$SUITES/sqlite/test/$1.test" >one.out 2>&1 || :
    cat one.out >>all.out
    grep -q 'errors out of' one.out || echo "! $1-ended expected: an end" >>all.out
    echo "$1-ended... Ok" >>all.out
}

work() {
    local t
    umask 022
    export HOME=$PWD
    : >all.out
    if [ "$WHOLE" = yes ]; then
        "$SUITES/sqlite/build/testfixture" "$SUITES/sqlite/test/veryquick.test" >veryquick.out 2>&1 || :
        tail -n 12 veryquick.out | grep -E 'errors out of|Failures' || tail -n 20 veryquick.out
        cat veryquick.out >>all.out
        for t in $more; do one $t; done
    else
        for t in $slice; do [ ! -e "$SUITES/sqlite/test/$t.test" ] || one $t; done
    fi
    # One verdict for a name: bad where a test of that name was. What is told of a failure follows it.
    LC_ALL=C awk '/^! / { bad[$2] = 1 } / Ok$/ { sub(/\.\.\.$/, "", $1); good[$1] = 1 } / Omitted?/ { skipped[$1] = 1 }
        END { for (n in bad) print "bad", n
            for (n in good) if (!(n in bad)) print "ok", n }' all.out >>"$RESULTS"
    grep -a -B 1 -A 2 '^! ' all.out || :
    grep -aE '^[0-9]+ errors out of' all.out | awk '{ e += $1; n += $5 } END { print e " errors out of " n " tests" }'
}

if [ "${1:-}" = work ]; then work; exit; fi
. "$(dirname "$0")/lib.sh"
need setpriv
need_built sqlite/build/testfixture
be_user 65534 # the suite fails where nothing is forbidden to it
"${as_user[@]}" test -x "$SUITES/sqlite/build/testfixture" || skip_all "an ordinary user can't run what is in $SUITES"
roads 120 3000
finish
