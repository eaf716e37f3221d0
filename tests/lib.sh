# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For the tests that are bash scripts: source it first. It owns a temporary directory ($TMP) and the processes begun
# with `spawn`; both are gone when the script ends, however it ends.
#
# A whole program is run in *cells*: plain, or under libzio.so in one of two modes, with one of several allocators.
#   forced    every copy of 4 KiB and more is elided, whatever the cost model says
#   default   as a user would run it
set -u
shopt -s inherit_errexit 2>/dev/null

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top_srcdir=${top_srcdir:-$(dirname "$here")}
if [ -z "${top_builddir:-}" ]; then
    top_builddir=$top_srcdir/build
    [ ! -e ./libzio/.libs/libzio.so ] || top_builddir=.
fi
top_builddir=$(cd "$top_builddir" && pwd)
LIBZIO=$top_builddir/libzio/.libs/libzio.so
SELF=$(realpath "$0")
TEST_NAME=$(basename "$0" .sh)
unset ZIO_DISABLE ZIO_THRESHOLD ZIO_LOG ZIO_STATS ZIO_FEATURES ZIO_POLICY LD_PRELOAD
export LC_ALL=C.UTF-8 TZ=UTC

# scratch_root: where temporary files go. In memory where there is room, as these tests wait for no disk's fsync.
scratch_root() {
    local room
    room=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)
    if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ] && [ "${room:-0}" -gt $((3 << 20)) ]; then
        echo /dev/shm
    else
        echo "${TMPDIR:-/tmp}"
    fi
}

TMP=$(mktemp -d "$(scratch_root)/zio-$TEST_NAME.XXXXXX") || exit 99
PIDS=()
n_ok=0 n_fail=0 n_skip=0

# --- verdicts ---

ok() {
    n_ok=$((n_ok + 1))
    printf 'ok %s\n' "$*"
}

# fail NAME [WHY]
fail() {
    n_fail=$((n_fail + 1))
    printf 'FAIL %s%s\n' "$1" "${2:+: $2}"
}

# skip NAME REASON
skip() {
    n_skip=$((n_skip + 1))
    printf 'skip %s: %s\n' "$1" "$2"
}

# check NAME COMMAND...: ok when it succeeds.
check() {
    local name=$1
    shift
    if "$@"; then ok "$name"; else fail "$name" "$* gave $?"; fi
}

skip_all() {
    printf '%s\n' "$*"
    exit 77
}

# The script's last line: finish.
finish() {
    [ $n_fail -eq 0 ] || exit 1
    [ $n_ok -gt 0 ] || exit 77
    exit 0
}

# need PROGRAM...: without one of them the whole test is skipped.
need() {
    local p
    for p in "$@"; do
        command -v "$p" >/dev/null || skip_all "$p is missing (./quickstart --with-tests installs it)"
    done
    [ -e "$LIBZIO" ] || { fail "$TEST_NAME" "no $LIBZIO: run make first"; exit 1; }
}

# --- time: conditions and deadlines, never pauses ---

exec {tick_fd}<> <(:)

# tick: let a fiftieth of a second pass, without a process: a read of a pipe that nobody writes.
tick() {
    read -r -t 0.02 -u "$tick_fd" _ || :
}

# wait_until SECONDS COMMAND...: poll until the command succeeds; fails when the deadline passes first.
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@" 2>/dev/null; do
        [ $SECONDS -lt $end ] || return 1
        tick
    done
}

gone() {
    ! kill -0 "$1" 2>/dev/null
}

# --- processes ---

# spawn COMMAND...: in the background; its id is in $SPAWNED, and the end of the script ends it.
spawn() {
    "$@" &
    SPAWNED=$!
    PIDS+=("$SPAWNED")
}

# reap PID SECONDS: its exit code, or a kill and 124 when it has not ended by then.
reap() {
    if ! wait_until "$2" gone "$1"; then
        kill -KILL "$1" 2>/dev/null
        wait "$1" 2>/dev/null
        return 124
    fi
    wait "$1"
}

# of_cell FILE: the processes that were started with that statistics file, their helpers included.
of_cell() {
    grep -slF -- "ZIO_STATS=$1" /proc/[0-9]*/environ | cut -d / -f 3
}

no_process_of() {
    [ -z "$(of_cell "$1")" ]
}

# prove_gone NAME: nothing of the cell is still running; what is, is ended here.
prove_gone() {
    local pid
    wait_until 10 no_process_of "$STATS" && return 0
    for pid in $(of_cell "$STATS"); do
        fail "$1" "left behind: process $pid ($(cat "/proc/$pid/comm" 2>/dev/null))"
        kill -KILL "$pid" 2>/dev/null
    done
}

clean_up() {
    local pid
    for pid in ${PIDS[@]+"${PIDS[@]}"}; do
        gone "$pid" || kill -TERM "$pid" 2>/dev/null
    done
    for pid in ${PIDS[@]+"${PIDS[@]}"}; do
        wait_until 5 gone "$pid" || kill -KILL "$pid" 2>/dev/null
    done
    for pid in $(of_cell "$TMP/"); do kill -KILL "$pid" 2>/dev/null; done
    if [ -z "${KEEP_TMP:-}" ]; then rm -rf "$TMP"; else echo "kept: $TMP"; fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# free_port: a TCP port of 127.0.0.1 that nobody listens on now. Another may take it before you do, so retry.
free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

port_open() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# --- cells ---

lib_of() {
    local dir f
    for dir in /usr/lib/x86_64-linux-gnu /usr/lib64 /usr/lib; do
        for f in "$dir"/lib"$1".so.[0-9]*; do
            [ -e "$f" ] && { echo "$f"; return 0; }
        done
    done
    return 1
}

# The shim's cells: ALLOCATOR:MODE. `own` is whatever the program links (glibc's, mostly).
CELLS=(own:default own:forced)
for allocator in jemalloc mimalloc tcmalloc_minimal; do
    if lib_of "$allocator" >/dev/null; then
        CELLS+=("$allocator:forced")
    else
        skip "$TEST_NAME/$allocator" "lib$allocator is missing (./quickstart --with-tests installs it)"
    fi
done

# enter CELL: UNDER becomes the prefix of a command that is to run in the cell (plain, or one of CELLS), and STATS
# the file in which the shim counts.
enter() {
    local cell=$1 preload=''
    CELL=$cell
    STATS=$TMP/stats.$cell
    UNDER=(env)
    case $cell in
    own:* | plain) ;;
    *) preload=$(lib_of "${cell%:*}") || return 1 ;;
    esac
    case $cell in
    plain) return 0 ;;
    *:default) UNDER+=("ZIO_STATS=$STATS") ;;
    *:forced) UNDER+=("ZIO_STATS=$STATS" ZIO_THRESHOLD=4096 ZIO_POLICY=always) ;;
    esac
    UNDER+=("LD_PRELOAD=$LIBZIO${preload:+:$preload}")
}

# counted ID FILE: the sum of a counter over the processes that wrote their statistics to FILE.
counted() {
    sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$2" 2>/dev/null | awk '{ s += $1 } END { print s + 0 }'
}

# may_elide: can this user resolve kernel faults on this machine (else elision is off, and rightly so)?
may_elide() {
    [ "$(id -u)" = 0 ] || [ "$(cat /proc/sys/vm/unprivileged_userfaultfd)" = 1 ] || [ -r /dev/userfaultfd ]
}

# prove_active NAME: in a forced cell, copies must have been elided, or the comparison proved nothing.
prove_active() {
    local n
    [[ $CELL == *:forced ]] || return 0
    if ! may_elide; then
        skip "$1" "no access to userfaultfd for user $(id -un): zio doctor names the mending command"
        return 0
    fi
    n=$(counted copies_elided "$STATS")
    if [ "$n" -gt 0 ]; then
        ok "$1 ($n copies elided)"
    else
        fail "$1" "no copy was elided; statistics: $(tail -n 1 "$STATS" 2>&1 | head -c 600)"
    fi
}

# same NAME WANTED GOT: compare two files.
same() {
    if cmp -s "$2" "$3"; then
        ok "$1"
    else
        fail "$1" "output differs"
        diff -a "$2" "$3" | head -n 10 | cut -c 1-200 | sed 's/^/    /'
    fi
}

in_cell() {
    cd "$TMP/work" || exit
    exec timeout --kill-after=5 "$1" "${UNDER[@]}" bash "$SELF" work >"$TMP/out.$CELL" 2>"$TMP/err.$CELL" </dev/null
}

# Set to 1 by a test of which it is known that it makes large copies: then it must have been some in each forced cell.
PROVE=${PROVE:-0}

# each_cell SECONDS: run `SCRIPT work` plain and in each cell, each in an empty directory; its output and exit code
# must be the same. A cell may take SECONDS, and more where the plain run shows that the machine is busy. In the work,
# $DATA is the directory of the inputs.
each_cell() {
    local cell limit=$1 began
    export DATA=$TMP/data
    mkdir -p "$DATA"
    for cell in plain "${CELLS[@]}"; do
        enter "$cell"
        rm -rf "$TMP/work"
        mkdir "$TMP/work"
        began=$SECONDS
        # In the background, since bash would put off its own end until a command in the foreground is done.
        spawn in_cell "$limit"
        wait "$SPAWNED"
        echo "exit code $?" >>"$TMP/out.$cell"
        if [ "$cell" = plain ]; then
            limit=$((limit + 5 * (SECONDS - began)))
            grep -qx 'exit code 0' "$TMP/out.plain" ||
                fail "$TEST_NAME/plain" "the work itself fails: $(tail -n 3 "$TMP/out.plain" "$TMP/err.plain")"
            continue
        fi
        same "$TEST_NAME/$cell" "$TMP/out.plain" "$TMP/out.$cell"
        cmp -s "$TMP/err.plain" "$TMP/err.$cell" || diff -a "$TMP/err.plain" "$TMP/err.$cell" | head -n 10
        [ "$PROVE" = 0 ] || prove_active "$TEST_NAME/$cell/active"
        printf '    %s copies elided, %s receives into blocks, %s faults\n' "$(counted copies_elided "$STATS")" \
            "$(counted recv_block_calls "$STATS")" "$(counted faults "$STATS")"
        prove_gone "$TEST_NAME/$cell"
    done
}

# noise SEED BYTES: the same incompressible bytes for the same seed.
noise() {
    openssl enc -aes-128-ctr -K "$(printf '%032x' "$1")" -iv "$(printf '%032d' 0)" -nosalt </dev/zero 2>/dev/null | head -c "$2"
}
