# SPDX-License-Identifier: Apache-2.0
# -fno-builtin and no loop idioms: the model must not be interposed, and copies under test go through the PLT.
check_PROGRAMS += %D%/oracle
%C%_oracle_SOURCES = %D%/oracle.h %D%/main.c %D%/model.c %D%/buf.c %D%/calls.c %D%/program.c \
	%D%/ops_copy.c %D%/ops_sock.c %D%/ops_file.c %D%/ops_map.c %D%/ops_proc.c %D%/ops_raw.c \
	tests/support/watch.h tests/support/watch.c
%C%_oracle_CFLAGS = $(ZIO_CFLAGS) -O2 -fno-builtin -fno-tree-loop-distribute-patterns -pthread
%C%_oracle_LDFLAGS = -pthread
if HAVE_URING
%C%_oracle_CPPFLAGS = $(AM_CPPFLAGS) -DHAVE_LIBURING $(LIBURING_CFLAGS)
%C%_oracle_LDADD = $(LIBURING_LIBS)
endif
dist_check_SCRIPTS += %D%/run.sh
TESTS += %D%/run.sh
