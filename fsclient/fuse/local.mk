# SPDX-License-Identifier: Apache-2.0
# zio-mount, which `zio mount` and `zio umount` become; and mount.zio, by which mount(8) and fstab reach it.
pkglibexec_PROGRAMS += %D%/zio-mount
%C%_zio_mount_SOURCES = %D%/main.c %D%/options.c %D%/attach.c %D%/session.c %D%/loop.c %D%/wire.c %D%/known.c %D%/watch.c \
  %D%/op_table.c %D%/op_names.c %D%/op_attr.c %D%/op_file.c %D%/op_dir.c %D%/op_lock.c
%C%_zio_mount_CFLAGS = $(AM_CFLAGS) $(FUSE_CFLAGS)
%C%_zio_mount_LDADD = $(FSCLIENT_LIBS) $(FUSE_LIBS)
noinst_HEADERS += %D%/mount.h

dist_sbin_SCRIPTS += %D%/mount.zio
