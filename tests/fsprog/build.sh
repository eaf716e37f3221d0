#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A small autotools project in a volume: autoreconf, configure, make, its own tests, install and dist.
# deadline: 300

project() {
    mkdir src tests m4
    cat >configure.ac <<'END'
AC_INIT([small], [1.0], [nobody@example.org])
AC_CONFIG_AUX_DIR([build-aux])
AC_CONFIG_MACRO_DIRS([m4])
AC_CONFIG_HEADERS([config.h])
AM_INIT_AUTOMAKE([foreign subdir-objects])
AC_PROG_CC
AC_PROG_RANLIB
AM_PROG_AR
AC_CHECK_HEADERS([unistd.h sys/mman.h nothing.h])
AC_CHECK_FUNCS([mmap no_such_function])
AC_CONFIG_FILES([Makefile])
AC_OUTPUT
END
    cat >Makefile.am <<'END'
noinst_LIBRARIES = src/libsmall.a
src_libsmall_a_SOURCES = src/sum.c src/sum.h
bin_PROGRAMS = src/small
src_small_SOURCES = src/small.c
src_small_LDADD = src/libsmall.a
check_PROGRAMS = tests/unit
tests_unit_SOURCES = tests/unit.c
tests_unit_LDADD = src/libsmall.a
TESTS = tests/unit tests/run.sh
EXTRA_DIST = tests/run.sh
ACLOCAL_AMFLAGS = -I m4
AM_CPPFLAGS = -I$(srcdir)/src
END
    echo 'long sum(const int *numbers, int n);' >src/sum.h
    printf '#include <config.h>\n#include "sum.h"\nlong sum(const int *p, int n)\n{\n\tlong s = 0;\n\twhile (n--)\n\t\ts += *p++;\n\treturn s;\n}\n' >src/sum.c
    cat >src/small.c <<'END'
#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include "sum.h"

int main(int argc, char **argv)
{
	int numbers[64], n = 0;

	for (int i = 1; i < argc && n < 64; i++)
		numbers[n++] = atoi(argv[i]);
	printf("%s %ld\n", PACKAGE_STRING, sum(numbers, n));
	return 0;
}
END
    printf '#include "sum.h"\nint main(void)\n{\n\tint n[] = {1, 2, 3};\n\treturn sum(n, 3) != 6;\n}\n' >tests/unit.c
    # shellcheck disable=SC2016
    printf '#!/bin/sh\n[ "$(./src/small 4 5 6)" = "small 1.0 15" ]\n' >tests/run.sh
    chmod +x tests/run.sh
}

work() {
    set -e
    export CFLAGS=-O1
    mkdir small tmp
    export TMPDIR=$PWD/tmp
    cd small
    project
    autoreconf -fi 2>&1
    ls
    mkdir build
    cd build
    ../configure --prefix="$PWD/../../to"
    grep -E 'HAVE|PACKAGE' config.h
    make -s
    ./src/small 1 2 3
    sha256sum src/*.o
    make -s check 2>&1
    cat test-suite.log
    touch ../src/sum.h
    make | grep -c 'gcc.* -c '
    make -q && echo up to date
    make -s install
    ../../to/bin/small 7 8
    make -s dist
    tar -tzf small-1.0.tar.gz | sort
    make -s distclean
    find . | sort
    ls -A "$TMPDIR"
}

if [ "${1:-}" = work ]; then work; exit; fi
. "$(dirname "$0")/lib.sh"
need autoreconf automake make gcc
three_ways 90
finish
