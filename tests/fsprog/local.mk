# SPDX-License-Identifier: Apache-2.0
# Unmodified programs with their files in a volume, preloaded and mounted, compared with the same on a disk.
fsprog_tests = %D%/own_names.sh %D%/git.sh %D%/build.sh %D%/archive.sh \
	%D%/sqlite.sh %D%/tools.sh %D%/python.sh %D%/postgresql.sh
TESTS += $(fsprog_tests)
dist_check_SCRIPTS += $(fsprog_tests)
EXTRA_DIST += %D%/lib.sh %D%/python_exclusions
check_PROGRAMS += %D%/own_names
%C%_own_names_SOURCES = %D%/own_names.c
