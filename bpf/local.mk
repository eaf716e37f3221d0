# SPDX-License-Identifier: Apache-2.0
# The sockmap programs and their loader. vmlinux.h is what the running kernel says of itself (BTF); the programs are
# relocated to whatever kernel loads them (CO-RE).
EXTRA_DIST += %D%/sockmap.bpf.c
noinst_HEADERS += %D%/sockmap.h %D%/sockmap_abi.h
if HAVE_BPF
noinst_LTLIBRARIES += %D%/libzsockmap.la
%C%_libzsockmap_la_SOURCES = %D%/sockmap.c
nodist_%C%_libzsockmap_la_SOURCES = %D%/sockmap.skel.h
%C%_libzsockmap_la_CFLAGS = $(AM_CFLAGS) $(LIBBPF_CFLAGS)
%C%_libzsockmap_la_LIBADD = $(LIBBPF_LIBS)
BUILT_SOURCES = %D%/sockmap.skel.h
CLEANFILES += %D%/vmlinux.h %D%/sockmap.bpf.o %D%/sockmap.skel.h

BPF_COMPILE = $(CLANG) -O2 -g -Wall -mcpu=v3 -target bpf -D__TARGET_ARCH_x86 -I$(top_srcdir) -I$(top_builddir)

%D%/vmlinux.h:
	$(AM_V_GEN)$(MKDIR_P) %D% && $(BPFTOOL) btf dump file $(VMLINUX_BTF) format c >$@.tmp && mv $@.tmp $@

%D%/sockmap.bpf.o: %D%/sockmap.bpf.c %D%/sockmap_abi.h common/sockmap.h %D%/vmlinux.h
	$(AM_V_GEN)$(BPF_COMPILE) -c $< -o $@

%D%/sockmap.skel.h: %D%/sockmap.bpf.o
	$(AM_V_GEN)$(BPFTOOL) gen skeleton $< name sockmap_bpf >$@.tmp && mv $@.tmp $@
endif
