#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# zio run on programs of all kinds: scripts, and those into which no library can be preloaded.
# shellcheck disable=SC2016 # $ in quotes is for the inner shell
. "${srcdir:-.}/tests/cli/lib.sh"

preloaded='case $LD_PRELOAD in */libzio.so*) exit 5 ;; *) exit 6 ;; esac'

# Scripts: the interpreter counts.
printf '#! /bin/sh\n%s\n' "$preloaded" >"$tmp/script"
printf '%s\n' "$preloaded" >"$tmp/bare"
printf '#!%s/script\n' "$tmp" >"$tmp/nested"
printf '#!%s/nowhere\n' "$tmp" >"$tmp/lost"
chmod +x "$tmp/script" "$tmp/bare" "$tmp/nested" "$tmp/lost"
expect 5 "$zio" run -- "$tmp/script"
expect 5 "$zio" run -- "$tmp/bare"
expect 5 "$zio" run -- "$tmp/nested"
expect 127 "$zio" run -- "$tmp/lost"
printed err "$tmp/nowhere"
PATH=$tmp:$PATH expect 5 "$zio" run -- script

# A 32-bit program: a header is enough for the message. Nothing here executes it.
printf '\177ELF\001\001\001\0\0\0\0\0\0\0\0\0\002\0\003\0\001\0\0\0' >"$tmp/elf32"
chmod +x "$tmp/elf32"
expect 126 "$zio" run -- "$tmp/elf32"
printed err 'is a 32-bit program'

# Truncated and senseless ELF files are the kernel's business.
for n in 4 5 20 40 63; do
    head -c $n "$zio" >"$tmp/cut"
    chmod +x "$tmp/cut"
    expect 126 "$zio" run -- "$tmp/cut"
done

# set-user-ID.
if [ "$(id -u)" = 0 ] && cp /bin/sh "$tmp/suid" && chown 65534 "$tmp/suid" && chmod 4755 "$tmp/suid"; then
    expect 6 "$zio" run -- "$tmp/suid" -c "$preloaded"
    printed err 'is set-user-ID: .*it runs without zIO'
fi

cc=${CC:-cc}
printf 'int main(void) { return 9; }\n' >"$tmp/main.c"
$cc -static -o "$tmp/static" "$tmp/main.c" 2>"$tmp/err" || skip "cannot link a static program with $cc"
expect 9 "$zio" run -- "$tmp/static"
printed err "^zio run: $tmp/static is statically linked: .*it runs without zIO\$"
[ "$(wc -l <"$tmp/err")" = 1 ] || fail "more than one line"
expect 9 "$zio" profile -- "$tmp/static"
printed err 'is statically linked'
printed err 'never loaded'
printf '#!%s/static\n' "$tmp" >"$tmp/static-script"
chmod +x "$tmp/static-script"
expect 9 "$zio" run -- "$tmp/static-script"
printed err 'is statically linked'

# Another C library's loader; here it is glibc's under another name, so that the program does run.
ln -s /lib64/ld-linux-x86-64.so.2 "$tmp/ld-other.so.1"
$cc -o "$tmp/other" "$tmp/main.c" -Wl,--dynamic-linker="$tmp/ld-other.so.1" || fail "cannot link"
expect 9 "$zio" run -- "$tmp/other"
printed err 'is loaded by ld-other.so.1: .*it runs without zIO'
rm "$tmp/ld-other.so.1"
expect 127 "$zio" run -- "$tmp/other"
printed err 'dynamic loader is missing'

# glibc's loader as a program does preload.
expect 5 "$zio" run -- /lib64/ld-linux-x86-64.so.2 /bin/sh -c "$preloaded"
not_printed err .
