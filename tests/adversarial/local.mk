# SPDX-License-Identifier: Apache-2.0
# -fno-builtin and no loop idioms: fills and checks stay loops of ours, and copies under test go through the PLT.
check_PROGRAMS += %D%/adversarial
%C%_adversarial_SOURCES = %D%/adv.h %D%/adv.c %D%/main.c \
	%D%/copy.c %D%/dest.c %D%/map.c %D%/limit.c %D%/send.c %D%/recv.c %D%/file.c \
	%D%/thread.c %D%/signal.c %D%/fork.c %D%/wait.c %D%/watch.c %D%/fd.c %D%/alloc.c %D%/proc.c \
	tests/support/watch.h tests/support/watch.c
%C%_adversarial_CFLAGS = $(ZIO_CFLAGS) -fno-builtin -fno-tree-loop-distribute-patterns -pthread
%C%_adversarial_LDFLAGS = -pthread
dist_check_SCRIPTS += %D%/run.sh
TESTS += %D%/run.sh
