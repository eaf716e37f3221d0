# SPDX-License-Identifier: Apache-2.0
# The namespace engine. A convenience library: what it is linked into for strangers' programs (libfsclient.so) must take
# the static SQLite and keep its symbols inside (SQLITE_STATIC_LIBS and an exporting version script).
noinst_LTLIBRARIES += %D%/libzmeta.la
%C%_libzmeta_la_SOURCES = common/forkgate.c %D%/cache.c %D%/chunks.c %D%/db_sqlite.c %D%/fsck.c %D%/inode.c %D%/locks.c %D%/log.c %D%/names.c \
  %D%/counts.c %D%/op.c %D%/rows.c %D%/open.c %D%/perm.c %D%/quota.c %D%/rename.c %D%/schema.c %D%/shared.c %D%/sync.c %D%/trash.c %D%/tree.c %D%/volume.c \
  %D%/watch.c %D%/xattr.c
%C%_libzmeta_la_CFLAGS = $(AM_CFLAGS) $(SQLITE_CFLAGS)
noinst_HEADERS += %D%/meta.h %D%/db.h %D%/internal.h %D%/log.h %D%/row.h %D%/schema.h %D%/shared.h %D%/sql.h
