#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Debian's Python with the standard library's own tests of bytes, I/O and sockets: no test may fail under the library
# that passes without it. The tests mostly wait, so the cells run side by side.
# deadline: 580
. "$(dirname "$0")/../lib.sh"
python=/usr/bin/python3
need $python
$python -c 'import test.test_io, test.test_socket, test.test_bytes' 2>/dev/null ||
    skip_all "the tests of Python's standard library are missing (./quickstart --with-tests installs libpython3.11-testsuite)"
modules=(test_io test_bytes test_socket test_memoryview test_array test_mmap test_zlib)

# suite CELL DIR: -j makes each module a process of its own. AF_VSOCK hangs, plain, on hypervisors without a listener.
# The directory's name is short, and as long in every cell: Unix sockets' addresses end at 108 bytes.
suite() {
    local dir=$TMP/$2
    enter "$1"
    mkdir "$dir"
    cd "$dir" || exit 1
    TMPDIR=$dir exec timeout --kill-after=5 300 "${UNDER[@]}" \
        $python -m test -j2 -i '*VSOCK*' --junit-xml "$TMP/$1.xml" "${modules[@]}" >"$TMP/$1.log" 2>&1 </dev/null
}

pids=()
for cell in plain "${CELLS[@]}"; do
    spawn suite "$cell" ${#pids[@]}
    pids+=("$SPAWNED")
done
for pid in "${pids[@]}"; do wait "$pid"; done

results() {
    $python "$(dirname "$0")/junit_results.py" "$TMP/$1.xml" >"$TMP/$1.txt" 2>"$TMP/$1.err"
}

if ! results plain; then
    fail python/plain "no results: $(tail -n 3 "$TMP/plain.log")"
    finish
fi
printf 'plain: %s ok, %s bad, %s skipped\n' "$(grep -c ^ok "$TMP/plain.txt")" "$(grep -c ^bad "$TMP/plain.txt")" "$(grep -c ^skipped "$TMP/plain.txt")"
for cell in "${CELLS[@]}"; do
    enter "$cell"
    if ! results "$cell"; then
        fail "python/$cell" "no results: $(tail -n 5 "$TMP/$cell.log" | tr '\n' ' ')"
        prove_gone "python/$cell"
        continue
    fi
    # What was ok and is not any more, missing included.
    grep ^ok "$TMP/plain.txt" | comm -23 - "$TMP/$cell.txt" >"$TMP/lost"
    if [ -s "$TMP/lost" ]; then
        fail "python/$cell" "$(wc -l <"$TMP/lost") tests are ok plain but not here: $(head -n 8 "$TMP/lost" | tr '\n' ' ')"
        grep -aE -A 25 '^(FAIL|ERROR|Fatal Python error)' "$TMP/$cell.log" | head -n 120
    else
        ok "python/$cell ($(grep -c ^ok "$TMP/$cell.txt") tests)"
    fi
    prove_active "python/$cell/active"
    prove_gone "python/$cell"
done
finish
