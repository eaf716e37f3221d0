#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The tests of Python's standard library of files, with their directories in a volume, preloaded and mounted: no test may
# fail there that passes on the disk, but for those in python_exclusions. As root, and as somebody whom permissions bind.
# deadline: 400
. "$(dirname "$0")/lib.sh"
python=/usr/bin/python3
need $python
$python -c 'import test.test_os, test.test_posix, test.test_mmap' 2>/dev/null ||
    skip_all "the tests of Python's standard library are missing (./quickstart --with-tests installs libpython3.11-testsuite)"
exclusions=$top_srcdir/tests/fsprog/python_exclusions

# suite WAY WHO MODULE...: regrtest makes its current directory below --tempdir; -j makes each module a process of its own.
suite() {
    local cell=$1.$2 became=()
    [ "$2" != other ] || became=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all)
    shift 2
    exec timeout --kill-after=5 150 "${became[@]}" env "TMPDIR=$DIR/$cell" "HOME=$DIR/$cell" "${UNDER[@]}" $python -m test \
        -j2 --tempdir "$DIR/$cell" --junit-xml "$TMP/xml/$cell" "$@" >"$TMP/$cell.log" 2>&1 </dev/null
}

# results CELL: one line `RESULT TEST` each in CELL.txt.
results() {
    $python "$top_srcdir/tests/programs/junit_results.py" "$TMP/xml/$1" >"$TMP/$1.txt" 2>"$TMP/$1.err" && [ -s "$TMP/$1.txt" ]
}

passed() {
    sed -n 's/^ok //p' "$TMP/$1.txt"
}

# excluded WAY: the names of the tests of which it is known that they can't pass that way.
excluded() {
    awk -v way="$1" '$1 == way { print $2 }' "$exclusions" | sort
}

# compare WAY WHO
compare() {
    local cell=$1.$2
    # What was ok and is not any more, missing included.
    comm -23 <(passed "native.$2") <(passed "$cell") | comm -23 - <(excluded "$1") >"$TMP/lost"
    if [ -s "$TMP/lost" ]; then
        fail "python/$1/$2" "$(wc -l <"$TMP/lost") tests are ok natively but not here: $(head -n 30 "$TMP/lost" | tr '\n' ' ')"
        grep -aE -A 25 '^(FAIL|ERROR|Fatal Python error)' "$TMP/$cell.log" | head -n 300
    else
        ok "python/$1/$2 ($(passed "$cell" | wc -l) tests)"
    fi
    # What passes by now is no exception any more.
    comm -12 <(excluded "$1") <(passed "$cell") >"$TMP/stale"
    check "python/$1/$2/exclusions $(tr '\n' ' ' <"$TMP/stale")" test ! -s "$TMP/stale"
    # The suites left nothing, but their files must have been here: inode numbers are not used again.
    "${UNDER[@]}" sh -c ': >"$1/last" && stat -c %i "$1/last" && rm "$1/last"' sh "$DIR" >"$TMP/last"
    check "python/$1/$2/in-the-volume ($(cat "$TMP/last") inodes)" test "$(cat "$TMP/last")" -gt 1000
}

# run WAY WHO MODULE...
run() {
    local way=$1 who=$2 began=$SECONDS
    "${UNDER[@]}" install -d -m 755 -o "$([ "$who" = other ] && echo 65534 || id -u)" "$DIR/$way.$who"
    [ "$way/$who" != preload/other ] || chown -R 65534:65534 "$TMP/volume.preload"
    spawn suite "$@"
    wait "$SPAWNED"
    if ! results "$way.$who"; then
        fail "python/$way/$who" "no results: $(tail -n 5 "$TMP/$way.$who.log" | tr '\n' ' ')"
    elif [ "$way" = native ]; then
        printf '%s: %s ok, %s bad, %s skipped\n' "$who" "$(passed native."$who" | wc -l)" \
            "$(grep -c ^bad "$TMP/native.$who.txt")" "$(grep -c ^skipped "$TMP/native.$who.txt")"
    else
        compare "$way" "$who"
    fi
    echo "    $way/$who: $((SECONDS - began)) s"
}

chmod 755 "$TMP"
mkdir -m 777 "$TMP/xml"
others=yes
[ "$(id -u)" = 0 ] && setpriv --reuid=65534 --clear-groups test -r "$LIBZIO" -a -x "$ZIO" || others=no
[ $others = yes ] || skip python/other "only root can become somebody else, who must be able to read $LIBZIO"
for way in native preload mount; do
    way_of $way
    run $way me test_os test_posix test_shutil test_tempfile test_mmap test_pathlib test_glob test_fileio test_file \
        test_fcntl test_stat test_posixpath test_tarfile test_dbm_dumb test_dbm_gnu test_dbm_ndbm
    [ $others = no ] || run $way other test_os test_posix test_shutil test_tempfile test_stat
    way_ends $way
done
finish
