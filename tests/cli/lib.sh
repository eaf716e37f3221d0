# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# What the tests of the zio command share; sourced by them. Sets zio, build and tmp (removed at the end).
set -u

# A test that hangs is a test that fails: everything it started goes with it.
if [ -z "${ZIO_TEST_TIMED:-}" ]; then
    ZIO_TEST_TIMED=1
    export ZIO_TEST_TIMED
    exec timeout -k 5 "${ZIO_TEST_TIMEOUT:-300}" "$0" "$@"
fi

build=$(cd "${top_builddir:-.}" && pwd)
zio=$build/zio
# shellcheck disable=SC2034 # used by the tests
helpers=$build/tests/cli
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
unset ZIO_DISABLE ZIO_THRESHOLD ZIO_START_MS ZIO_LOG ZIO_STATS ZIO_FEATURES ZIO_POLICY ZIO_LIBDIR LD_PRELOAD

# With a sanitizer, programs want its library first; zio's own preload must not upset them.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0"

fail() {
    echo "FAIL: $*" >&2
    for f in "$tmp/out" "$tmp/err"; do
        if [ -s "$f" ]; then
            echo "--- ${f##*/}:" >&2
            head -50 "$f" >&2
        fi
    done
    exit 1
}

skip() {
    echo "SKIP: $*"
    exit 77
}

# expect CODE COMMAND...: runs it, keeps what it prints in $tmp/out and $tmp/err.
expect() {
    want=$1
    shift
    "$@" >"$tmp/out" 2>"$tmp/err"
    got=$?
    [ "$got" = "$want" ] || fail "exit code $got instead of $want: $*"
}

# printed WHERE PATTERN: an extended regular expression that must be in $tmp/WHERE.
printed() {
    grep -Eq -- "$2" "$tmp/$1" || fail "'$2' is not in std$1"
}

not_printed() {
    ! grep -Eq -- "$2" "$tmp/$1" || fail "'$2' is in std$1"
}

# json FILE EXPRESSION...: the Python expressions, j being the parsed file, must be true.
json() {
    "$python" -c '
import json, sys
j = json.load(open(sys.argv[1]))
for e in sys.argv[2:]:
    if not eval(e):
        print("not true:", e, "of", json.dumps(j, indent=1), file=sys.stderr)
        sys.exit(1)
' "$@" || fail "json $*"
}

need_python() {
    # The executable itself: python3 may be a wrapper that starts many processes.
    python=$(python3 -c 'import sys; print(sys.executable)') || skip "python3 is missing (it checks the JSON)"
}

[ -x "$zio" ] || fail "there is no $zio: run this from the build tree, or set top_builddir"
