# SPDX-License-Identifier: Apache-2.0
# Unmodified programs, plain and under the library.
program_tests = \
	%D%/python.sh \
	%D%/redis.sh \
	%D%/sqlite.sh \
	%D%/nginx.sh \
	%D%/git.sh \
	%D%/archive.sh \
	%D%/sort.sh \
	%D%/openssl.sh \
	%D%/coreutils.sh \
	%D%/user.sh \
	%D%/front.sh
TESTS += $(program_tests)
dist_check_SCRIPTS += $(program_tests)
EXTRA_DIST += %D%/redis_work.py %D%/http_fetch.py %D%/junit_results.py

check_PROGRAMS += %D%/front
%C%_front_SOURCES = %D%/front.c
%C%_front_CFLAGS = -fno-pie -fno-builtin
%C%_front_LDFLAGS = -no-pie
