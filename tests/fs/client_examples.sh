#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The two programs of docs/examples: as `make check` builds them, and as a stranger does, out of an installed tree with
# pkg-config alone.
. "$(dirname "$0")/../lib.sh"

FS=$top_builddir/cli/zio-fs
EX=$top_builddir/docs/examples
vol=local:$TMP/vol

# A tree with what trees have.
mkdir -p "$TMP/src/a/b/c" "$TMP/src/empty"
for i in {1..200}; do echo "file $i" >"$TMP/src/a/b/$i"; done
head -c 300000 /dev/urandom >"$TMP/src/a/random"
truncate -s 5M "$TMP/src/sparse"
printf tail | dd of="$TMP/src/sparse" bs=1 seek=3000000 conv=notrunc status=none
ln -s b/7 "$TMP/src/a/link"
chmod 0751 "$TMP/src/a/b"
chmod 0640 "$TMP/src/a/random"

try_copytree() {
    "$1" "$vol" "$TMP/src" "$2" >"$TMP/out" || return 1
    grep -q '^202 files, ' "$TMP/out" || return 1
    rm -rf "$TMP/back"
    "$FS" get -r "$vol" "$2" "$TMP/back" >/dev/null 2>&1 || "$FS" get "$vol" "$2" "$TMP/back" >/dev/null || return 1
    diff -r "$TMP/src" "$TMP/back" && [ "$(stat -c %a "$TMP/back/a/b" "$TMP/back/a/random" | tr '\n' ' ')" = "751 640 " ]
}

# Four writers and a rotation: every line is there once, none is torn.
try_logappend() {
    local pids=() w i
    for w in 1 2 3 4; do
        for i in {1..300}; do printf 'writer %d line %d %0*d\n' "$w" "$i" $((i % 90 + 1)) 0; done |
            "$1" "$vol" "$2" 20000 &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" || return 1; done
    for i in "$2" "$2.1"; do
        "$FS" get "$vol" "$i" "$TMP/log.part" >/dev/null 2>&1 && cat "$TMP/log.part"
        rm -f "$TMP/log.part"
    done >"$TMP/log"
    ! grep -Evq '^writer [1-4] line [0-9]+ 0+$' "$TMP/log" && [ "$(sort "$TMP/log" | uniq -d | wc -l)" = 0 ]
}

# Without a limit nothing is turned away: all 1200.
try_log_whole() {
    local w i pids=()
    for w in 1 2 3 4; do
        for i in {1..300}; do echo "writer $w line $i"; done | "$1" "$vol" "$2" &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" || return 1; done
    "$FS" get "$vol" "$2" "$TMP/whole" >/dev/null || return 1
    [ "$(sort -u "$TMP/whole" | wc -l)" = 1200 ] && [ "$(wc -l <"$TMP/whole")" = 1200 ]
}

"$FS" format "$vol" >/dev/null || fail format
check copytree try_copytree "$EX/copytree" /one
check logappend try_logappend "$EX/logappend" /log
check logappend-whole try_log_whole "$EX/logappend" /log2
check usage eval '! "$EX/copytree" 2>/dev/null; [ $? = 0 ]'
check volume-is-clean "$FS" fsck "$vol"

# As a stranger: what is installed has to be enough.
stranger() {
    local p=$TMP/inst/usr flags
    make -C "$top_builddir" install-libLTLIBRARIES install-includeHEADERS install-pkgconfigDATA prefix=/usr libdir=/usr/lib \
        includedir=/usr/include DESTDIR="$TMP/inst" >"$TMP/install.log" 2>&1 || { tail -n 5 "$TMP/install.log"; return 1; }
    flags=$(PKG_CONFIG_PATH=$(dirname "$(find "$TMP/inst" -name libfsclient.pc)") \
        pkg-config --define-variable=libdir="$p/lib" --define-variable=includedir="$p/include" --cflags --libs libfsclient) || return 1
    # shellcheck disable=SC2086
    for e in copytree logappend; do
        ${CC:-cc} -Wall -Wextra -Werror "$top_srcdir/docs/examples/$e.c" $flags -Wl,-rpath,"$p/lib" -o "$TMP/$e" || return 1
    done
    # No name but the interface's leaves the library.
    ! nm -D --defined-only "$p/lib/libfsclient.so" | awk '{print $3}' | sed 's/@.*//' | grep -Ev '^(fsc_|FSCLIENT_)'
}
if ! command -v pkg-config >/dev/null; then
    skip pkg-config 'pkg-config is not installed'
else
    check pkg-config stranger
    check stranger-copytree try_copytree "$TMP/copytree" /two
    check stranger-logappend try_log_whole "$TMP/logappend" /log3
fi
finish
