# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += %D%/soak
%C%_soak_SOURCES = %D%/soak.h %D%/soak.c %D%/soak_ops.c %D%/soak_many.c
%C%_soak_CFLAGS = $(ZIO_CFLAGS) -O2
%C%_soak_LDADD = -lpthread
dist_check_SCRIPTS += %D%/cli.sh %D%/proxies.sh %D%/soak.sh
EXTRA_DIST += %D%/lib.sh %D%/other.bpf.c
if HAVE_BPF
check_DATA += %D%/other.bpf.o
CLEANFILES += %D%/other.bpf.o
%D%/other.bpf.o: %D%/other.bpf.c bpf/vmlinux.h
	$(AM_V_GEN)$(MKDIR_P) %D% && $(BPF_COMPILE) -c $(srcdir)/%D%/other.bpf.c -o $@
if !SANITIZER
TESTS += %D%/cli.sh %D%/proxies.sh %D%/soak.sh
endif
endif
