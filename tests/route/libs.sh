#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Programs and libraries in a volume that need libraries beside them: the same as on a disk, by RUNPATH, RPATH and
# LD_LIBRARY_PATH, from the start and by dlopen, for libraries of one chunk and of several.
# deadline: 60
. "$(dirname "$0")/lib.sh"
need gcc python3 timeout

src=$TMP/src
mkdir "$src"
cat >"$src/inner.c" <<'C'
int inner(void) { return 40; }
C
cat >"$src/outer.c" <<'C'
int inner(void);
int outer(void) { return inner() + 2; }
C
cat >"$src/program.c" <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int outer(void);
int main(int argc, char **argv)
{
    const char *preload = getenv("LD_PRELOAD");
    int open_fds = 0;
    for (int fd = 3; fd < 100; fd++)
        open_fds += fcntl(fd, F_GETFD) >= 0;
    printf("%s says %d, %d descriptors, libraries in LD_PRELOAD: %s\n", argc > 1 ? argv[1] : "it", outer(), open_fds,
           preload && strstr(preload, "::") ? "yes" : "no");
    return 0;
}
C
build() {
    gcc -shared -fPIC -Wl,-soname,libinner.so.1 -o "$src/libinner.so.1" "$src/inner.c" &&
    gcc -shared -fPIC -Wl,-soname,libouter.so.1 -Wl,--enable-new-dtags '-Wl,-rpath,$ORIGIN' -o "$src/libouter.so.1" "$src/outer.c" "$src/libinner.so.1" &&
    gcc -shared -fPIC -Wl,-soname,libplain.so.1 -o "$src/libplain.so.1" "$src/outer.c" "$src/libinner.so.1" &&
    gcc -Wl,--enable-new-dtags '-Wl,-rpath,${ORIGIN}/../lib' -o "$src/by-runpath" "$src/program.c" "$src/libouter.so.1" -Wl,-rpath-link,"$src" &&
    gcc -Wl,--disable-new-dtags '-Wl,-rpath,$ORIGIN/../lib' -o "$src/by-rpath" "$src/program.c" "$src/libplain.so.1" "$src/libinner.so.1" &&
    gcc -o "$src/by-variable" "$src/program.c" "$src/libplain.so.1" -Wl,-rpath-link,"$src"
}
if ! build >"$TMP/build" 2>&1; then fail build "$(tail -n 3 "$TMP/build")"; finish; fi

cat >"$TMP/work" <<'WORK'
cd "$1" && mkdir bin lib && cp "$2"/*.so.1 lib && cp "$2"/by-* bin || exit 1
bin/by-runpath; (cd bin && ./by-runpath relative); (exec -a other bin/by-runpath exec)
bin/by-rpath
bin/by-variable 2>/dev/null || echo "not without the variable"
LD_LIBRARY_PATH=/nowhere:$1/lib bin/by-variable variable
LD_LIBRARY_PATH=$1/lib "$2/by-variable" native
LD_LIBRARY_PATH=$1/lib python3 -c "import subprocess, sys; print(subprocess.run([sys.argv[1], 'spawned'], close_fds=False).returncode)" "$2/by-variable"
LD_LIBRARY_PATH=$1/lib env -u LD_LIBRARY_PATH true; echo "status $?"
python3 -c "import ctypes, sys; print('by dlopen', ctypes.CDLL(sys.argv[1] + '/lib/libouter.so.1').outer())" "$1"
LD_LIBRARY_PATH=$1/lib python3 -c "import ctypes; print('by name', ctypes.CDLL('libplain.so.1').outer())"
rm lib/libinner.so.1
bin/by-runpath 2>/dev/null || echo "one is missing"
WORK

for chunk in 64k 64m; do
    rm -rf "$VOLUME" "$NATIVE"
    mkdir "$NATIVE"
    "$ZIO_FS_TOOL" format --chunk-size=$chunk "local:$VOLUME" >"$TMP/format.out" 2>&1 || fail format "$(cat "$TMP/format.out")"
    if [ $chunk = 64k ]; then for f in "$src"/lib*.so.1; do head -c 100000 /dev/zero >>"$f"; done; fi
    timeout 30 bash "$TMP/work" "$NATIVE" "$src" >"$TMP/native.txt" 2>"$TMP/native.err"
    timeout 30 "${routed[@]}" bash "$TMP/work" "$ROUTED" "$src" >"$TMP/routed.txt" 2>"$TMP/routed.err"
    check "native-$chunk" [ "$(grep -c 'says 42, [0-9]* descriptors, libraries in LD_PRELOAD: no' "$TMP/native.txt")" = 7 ]
    same "routed-$chunk" "$TMP/native.txt" "$TMP/routed.txt"
    same "stderr-$chunk" "$TMP/native.err" "$TMP/routed.err"
done
finish
