# SPDX-License-Identifier: Apache-2.0
# File routing: what a program does natively, and the same on a routed volume.
check_PROGRAMS += %D%/paths
%C%_paths_SOURCES = %D%/paths.h %D%/paths_main.c %D%/paths_names.c %D%/paths_attr.c %D%/paths_misc.c %D%/paths_dirs.c \
	%D%/paths_tree.c %D%/paths_stdio.c
%C%_paths_CFLAGS = $(ZIO_CFLAGS) -g
route_path_tests = %D%/paths.sh %D%/paths_programs.sh
TESTS += $(route_path_tests)
dist_check_SCRIPTS += $(route_path_tests)
EXTRA_DIST += %D%/lib.sh %D%/paths_work.sh %D%/paths_work_tree.sh %D%/paths_work.pl %D%/paths_work.py
check_PROGRAMS += %D%/core
%C%_core_SOURCES = %D%/core.h %D%/core_main.c %D%/core_fds.c %D%/core_io.c %D%/core_locks.c %D%/core_where.c \
	%D%/core_exec.c %D%/core_busy.c
%C%_core_CFLAGS = $(ZIO_CFLAGS) -g -pthread
%C%_core_LDFLAGS = -pthread
route_core_tests = %D%/core.sh %D%/core_programs.sh
TESTS += $(route_core_tests)
dist_check_SCRIPTS += $(route_core_tests)
