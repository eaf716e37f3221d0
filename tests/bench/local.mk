# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += %D%/jsoncheck
%C%_jsoncheck_SOURCES = %D%/jsoncheck.c
%C%_jsoncheck_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
%C%_jsoncheck_LDADD = $(JANSSON_LIBS)
bench_tests = %D%/usage.sh %D%/micro.sh %D%/copy.sh %D%/echo.sh %D%/alloc.sh %D%/table.sh %D%/app.sh %D%/fs.sh %D%/sock.sh %D%/demo.sh
dist_check_SCRIPTS += $(bench_tests)
EXTRA_DIST += %D%/smoke.sh
if !SANITIZER
# A library with a sanitizer inside cannot be preloaded into these ordinary programs.
TESTS += $(bench_tests)
endif
