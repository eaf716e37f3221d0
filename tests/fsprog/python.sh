#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The tests of Python's standard library of files, with their directories in a volume, preloaded and mounted: no test may
# fail there that passes on the disk, but for those in python_exclusions.
# deadline: 400
. "$(dirname "$0")/lib.sh"
python=/usr/bin/python3
need $python
$python -c 'import test.test_os, test.test_posix, test.test_mmap' 2>/dev/null ||
    skip_all "the tests of Python's standard library are missing (./quickstart --with-tests installs libpython3.11-testsuite)"
modules=(test_os test_posix test_shutil test_tempfile test_mmap test_pathlib test_glob test_fileio test_file test_fcntl
    test_stat test_posixpath test_tarfile test_dbm_dumb test_dbm_gnu test_dbm_ndbm)

# suite WAY: regrtest makes its current directory below --tempdir. -j makes each module a process of its own.
suite() {
    exec timeout --kill-after=5 150 env "TMPDIR=$DIR" "${UNDER[@]}" \
        $python -m test -j2 --tempdir "$DIR" --junit-xml "$TMP/$1.xml" "${modules[@]}" >"$TMP/$1.log" 2>&1 </dev/null
}

# results WAY: one line `RESULT TEST` each in WAY.txt.
results() {
    $python "$top_srcdir/tests/programs/junit_results.py" "$TMP/$1.xml" >"$TMP/$1.txt" 2>"$TMP/$1.err" && [ -s "$TMP/$1.txt" ]
}

# excluded WAY: the names of the tests of which it is known that they can't pass that way.
excluded() {
    awk -v way="$1" '$1 == way { print $2 }' "$top_srcdir/tests/fsprog/python_exclusions" | sort
}

compare() {
    local way=$1
    # What was ok and is not any more, missing included.
    comm -23 <(sed -n 's/^ok //p' "$TMP/native.txt") <(sed -n 's/^ok //p' "$TMP/$way.txt") | comm -23 - <(excluded "$way") >"$TMP/lost"
    if [ -s "$TMP/lost" ]; then
        fail "python/$way" "$(wc -l <"$TMP/lost") tests are ok natively but not here: $(head -n 30 "$TMP/lost" | tr '\n' ' ')"
        grep -aE -A 25 '^(FAIL|ERROR|Fatal Python error)' "$TMP/$way.log" | head -n 300
    else
        ok "python/$way ($(grep -c ^ok "$TMP/$way.txt") tests)"
    fi
    # What passes by now is no exception any more.
    comm -12 <(excluded "$way") <(sed -n 's/^ok //p' "$TMP/$way.txt") >"$TMP/stale"
    check "python/$way/exclusions $(tr '\n' ' ' <"$TMP/stale")" test ! -s "$TMP/stale"
    # The suites left nothing, but their files must have been here: inode numbers are not used again.
    "${UNDER[@]}" sh -c ': >"$1/last" && stat -c %i "$1/last"' sh "$DIR" >"$TMP/last"
    check "python/$way/in-the-volume ($(cat "$TMP/last") inodes)" test "$(cat "$TMP/last")" -gt 1000
}

for way in native preload mount; do
    way_of $way
    began=$SECONDS
    spawn suite $way
    wait "$SPAWNED"
    if ! results $way; then
        fail "python/$way" "no results: $(tail -n 5 "$TMP/$way.log" | tr '\n' ' ')"
    elif [ $way = native ]; then
        printf 'native: %s ok, %s bad, %s skipped\n' "$(grep -c ^ok "$TMP/native.txt")" "$(grep -c ^bad "$TMP/native.txt")" "$(grep -c ^skipped "$TMP/native.txt")"
    else
        compare $way
    fi
    echo "    $way: $((SECONDS - began)) s"
    way_ends $way
done
finish
