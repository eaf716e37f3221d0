# SPDX-License-Identifier: Apache-2.0
# File routing: what a program does natively, and the same on a routed volume.
check_PROGRAMS += %D%/paths %D%/paths_table %D%/paths_refuse %D%/paths_tty
%C%_paths_tty_SOURCES = %D%/paths_tty.c
%C%_paths_refuse_SOURCES = %D%/paths_refuse.c
check_LTLIBRARIES += %D%/paths_library.la
%C%_paths_library_la_SOURCES = %D%/paths_library.c
%C%_paths_library_la_LDFLAGS = -module -shared -avoid-version -rpath /nowhere
%C%_paths_SOURCES = %D%/paths.h %D%/paths_main.c %D%/paths_names.c %D%/paths_attr.c %D%/paths_misc.c %D%/paths_dirs.c \
	%D%/paths_tree.c %D%/paths_stdio.c %D%/paths_border.c %D%/paths_calls.c
%C%_paths_CFLAGS = $(ZIO_CFLAGS) -g
%C%_paths_table_SOURCES = %D%/paths_table.c libzio/route_names.c
route_path_tests = %D%/paths.sh %D%/paths_table.sh %D%/paths_refuse.sh %D%/paths_tty.sh %D%/paths_programs.sh
TESTS += $(route_path_tests)
dist_check_SCRIPTS += $(route_path_tests)
EXTRA_DIST += %D%/lib.sh %D%/paths_work.sh %D%/paths_work_tree.sh %D%/paths_work.pl %D%/paths_work.py %D%/paths_work_tools.sh %D%/paths_tty.py %D%/libc_io.txt %D%/libc_other.txt
check_PROGRAMS += %D%/core
%C%_core_SOURCES = %D%/core.h %D%/core_main.c %D%/core_fds.c %D%/core_io.c %D%/core_locks.c %D%/core_where.c \
	%D%/core_exec.c %D%/core_busy.c %D%/core_fifo.c %D%/core_sockets.c %D%/core_owners.c %D%/core_who.c
%C%_core_CFLAGS = $(ZIO_CFLAGS) -g -pthread
%C%_core_LDFLAGS = -pthread
check_PROGRAMS += %D%/core_kill %D%/core_static
%C%_core_kill_SOURCES = %D%/core_kill.c %D%/core.h
%C%_core_static_SOURCES = %D%/core_static.c
%C%_core_static_CFLAGS = $(ZIO_CFLAGS)
%C%_core_static_LDFLAGS = -all-static
route_core_tests = %D%/core.sh %D%/core_programs.sh %D%/core_robust.sh %D%/core_servers.sh
TESTS += $(route_core_tests)
dist_check_SCRIPTS += $(route_core_tests)

# What the kernel does with routed files' bytes.
map_programs = %D%/map_cases %D%/map_copy %D%/map_random %D%/map_threads
check_PROGRAMS += $(map_programs)
%C%_map_cases_SOURCES = %D%/map_trace.h %D%/map_trace.c %D%/map_cases.c
%C%_map_cases_CFLAGS = $(ZIO_CFLAGS) -g
%C%_map_copy_SOURCES = %D%/map_trace.h %D%/map_trace.c %D%/map_copy.c
%C%_map_copy_CFLAGS = $(ZIO_CFLAGS) -g
%C%_map_random_SOURCES = %D%/map_trace.h %D%/map_random.c
%C%_map_random_CFLAGS = $(ZIO_CFLAGS) -g
%C%_map_threads_SOURCES = %D%/map_trace.h %D%/map_threads.c
%C%_map_threads_CFLAGS = $(ZIO_CFLAGS) -g -pthread
%C%_map_threads_LDFLAGS = -pthread
map_tests = %D%/map.sh %D%/map_programs.sh %D%/libs.sh %D%/nodes_kill.sh
TESTS += $(map_tests)
dist_check_SCRIPTS += $(map_tests)
EXTRA_DIST += %D%/map_exec_steps.sh
