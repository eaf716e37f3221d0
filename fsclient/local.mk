# SPDX-License-Identifier: Apache-2.0
# libfsclient.so, and the same as a convenience library for zIO's own programs, which then need no search path.
include_HEADERS = %D%/fsclient.h
pkgconfig_DATA += %D%/libfsclient.pc
fsclient_headers = %D%/driver.h %D%/local.h %D%/local_ops.h
noinst_HEADERS += $(fsclient_headers)

fsclient_sources = %D%/attr.c %D%/cred.c %D%/file.c %D%/fork.c %D%/ino.c %D%/kernel.c %D%/open.c %D%/path.c \
  %D%/volume.c %D%/walk.c \
  %D%/local.c %D%/local_admin.c %D%/local_check.c %D%/local_conf.c %D%/local_fd.c %D%/local_flock.c %D%/local_keep.c \
  %D%/local_lock.c %D%/local_map.c %D%/local_names.c %D%/local_node.c %D%/local_pin.c \
  %D%/local_read.c %D%/local_space.c %D%/local_write.c

noinst_LTLIBRARIES += %D%/libfsclient-core.la
%C%_libfsclient_core_la_SOURCES = $(fsclient_sources)
%C%_libfsclient_core_la_CFLAGS = $(AM_CFLAGS)
%C%_libfsclient_core_la_LIBADD = meta/libzmeta.la chunk/libzchunk.la

# Compiled apart from the other: what comes out of an archive is not exported (--exclude-libs,ALL).
# It is loaded into strangers' programs: nothing shows but fsc_*, and what it uses inside is bound inside.
lib_LTLIBRARIES = %D%/libfsclient.la
# It has memory of its own, too: heap.h says why.
noinst_HEADERS += %D%/heap.h
%C%_libfsclient_la_SOURCES = $(fsclient_sources) %D%/heap.c %D%/heap_names.c
%C%_libfsclient_la_CFLAGS = $(AM_CFLAGS) -fno-builtin-malloc -fno-builtin-calloc -fno-builtin-realloc -fno-builtin-free
%C%_libfsclient_la_LIBADD = meta/libzmeta.la chunk/libzchunk.la $(SQLITE_STATIC_LIBS) -lpthread
%C%_libfsclient_la_LDFLAGS = -version-info 1:0:0 -Wl,-z,now -Wl,-z,defs -Wl,-Bsymbolic -Wl,--exclude-libs,ALL \
  -Wl,--version-script=$(srcdir)/%D%/libfsclient.map
EXTRA_%C%_libfsclient_la_DEPENDENCIES = $(srcdir)/%D%/libfsclient.map
EXTRA_DIST += %D%/libfsclient.map
# What zIO's programs link.
FSCLIENT_LIBS = fsclient/libfsclient-core.la $(SQLITE_LIBS) -lpthread
