#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The table of names (libzio/route_names.c) against the running C library and against libzio.so: each name of libc_io.txt
# is in it; what the C library exports is in it or known to have nothing to do with files (libc_other.txt); what it
# calls hooked is exported by libzio.so, and what is exported is called hooked.
# deadline: 60
. "$(dirname "$0")/lib.sh"
need nm
here=$top_srcdir/tests/route
libc=$(ldconfig -p | awk '/libc\.so\.6 .*x86-64/ { print $NF; exit }')

# exports FILE: the names of functions, less those of the C library for its own other files.
exports() {
    nm -D --defined-only "$1" | awk '$2 ~ /[TWi]/ && $3 !~ /GLIBC_PRIVATE/ { sub(/@.*/, "", $3); print $3 }' | sort -u
}

# none NAME FILE WHAT: the file is empty.
none() {
    if [ -s "$2" ]; then fail "$1" "$3: $(tr '\n' ' ' <"$2" | head -c 1000)"; else ok "$1"; fi
}

check table/well-formed eval '"$top_builddir/tests/route/paths_table" >"$TMP/table" 2>"$TMP/table.err"'
cat "$TMP/table.err"
awk '{ print $1 }' "$TMP/table" | sort >"$TMP/names"
awk '$2 == "HOOKED" { print $1 }' "$TMP/table" | sort >"$TMP/hooked"
exports "$libc" >"$TMP/libc"
exports "$LIBZIO" >"$TMP/libzio"
check libc/has-names [ "$(wc -l <"$TMP/libc")" -gt 1500 ]
check table/has-names [ "$(wc -l <"$TMP/names")" -gt 500 ]

check list/has-names [ "$(grep -c . "$here/libc_io.txt")" -eq 348 ]
comm -23 <(sort -u "$here/libc_io.txt") "$TMP/names" >"$TMP/missing"
none list/covered "$TMP/missing" "not in the table"

# Patterns and names that are no files' matter.
grep -v '^#' "$here/libc_other.txt" | tr ' ' '\n' | sed '/^$/d; s/[.]/[.]/g; s/\*/.*/g; s/?/./g; s/^/^/; s/$/$/' >"$TMP/other"
comm -23 "$TMP/libc" "$TMP/names" | grep -vEf "$TMP/other" >"$TMP/unknown"
none libc/known "$TMP/unknown" "exported by $libc and in neither libzio/route_names.c nor libc_other.txt"

comm -23 "$TMP/hooked" "$TMP/libzio" >"$TMP/unhooked"
none hooked/exported "$TMP/unhooked" "called hooked, but not exported by libzio.so"
comm -12 "$TMP/libzio" "$TMP/libc" | comm -23 - "$TMP/hooked" >"$TMP/untold"
grep -vxE 'a(ligned_alloc)|brk|calloc|free|malloc.*|memalign|p?valloc|posix_memalign|realloc(array)?|sbrk' "$TMP/untold" >"$TMP/untold.files"
none exported/told "$TMP/untold.files" "exported by libzio.so, and not called hooked"

# The test can fail: a name that nobody knows is found.
echo open_with_telepathy >"$TMP/new"
check unknown-is-found [ "$(grep -vEf "$TMP/other" "$TMP/new")" = open_with_telepathy ]
finish
