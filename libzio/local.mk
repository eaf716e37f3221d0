# SPDX-License-Identifier: Apache-2.0
pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = %D%/libzio.pc

# The parts that the unit tests link too.
zio_pure = %D%/segmap.c %D%/policy.c %D%/meta.c %D%/vm.c %D%/block.c
zio_headers = %D%/alloc.h %D%/area.h %D%/block.h %D%/calibrate.h %D%/copy.h %D%/fork.h %D%/front.h %D%/helper.h %D%/hooks_mem.h \
  %D%/iobuf.h %D%/limits.h %D%/memops.h %D%/meta.h %D%/policy.h %D%/real.h %D%/route_map.h %D%/route_libs.h %D%/route_node.h %D%/route_xexec.h %D%/route.h %D%/route_fsc.h %D%/route_priv.h %D%/segmap.h %D%/sys.h %D%/uffd.h \
  %D%/uffd_compat.h %D%/vm.h %D%/vmquery.h %D%/zio.h %D%/zmem.h
noinst_HEADERS += $(zio_headers)

# gcc compiles a byte loop named memcpy into a call of memcpy; these flags stop it. No sanitizers: the library is
# preloaded into programs that have no runtime for them.
ZIO_SHIM_CFLAGS = $(ZIO_CFLAGS) -fno-builtin -fno-stack-protector -ftls-model=initial-exec
noinst_LTLIBRARIES += %D%/libmemops.la
%C%_libmemops_la_SOURCES = %D%/memops.c
%C%_libmemops_la_CFLAGS = $(ZIO_SHIM_CFLAGS) -O2

pkglib_LTLIBRARIES += %D%/libzio.la
# Routed files by path, and what the C library does with paths and streams inside itself.
zio_fs_paths = %D%/fsreal.c %D%/fsreal.h %D%/hooks_fs.h %D%/hooks_fs_dir.c %D%/hooks_fs_magic.c %D%/hooks_fs_misc_aio.c %D%/hooks_fs_misc_dl.c \
  %D%/hooks_fs_misc_real.c %D%/hooks_fs_misc_refuse.c %D%/hooks_fs_misc_statfs.c %D%/hooks_fs_misc_syscall.c %D%/hooks_fs_path_attr.c \
  %D%/hooks_fs_path_names.c %D%/hooks_fs_path_stat.c %D%/hooks_fs_path_xattr.c %D%/hooks_fs_stdio.c %D%/hooks_fs_stdio.h \
  %D%/hooks_fs_stdio_reopen.c %D%/hooks_fs_stdio_std.c %D%/hooks_fs_stdio_wide.c %D%/hooks_fs_temp.c %D%/hooks_fs_tree.c \
  %D%/hooks_fs_misc_tty.c %D%/hooks_fs_misc_word.c %D%/hooks_fs_tree_fts.c %D%/route_names.c %D%/route_names.h
# Routed files: prefixes, records, descriptors, processes.
zio_fs_core = %D%/hooks_fs_fd.c %D%/hooks_fs_fdctl.c %D%/hooks_fs_exec.c %D%/hooks_fs_fdlock.c %D%/hooks_fs_open.c %D%/hooks_fs_spawn.c \
  %D%/route.c %D%/route_cred.c %D%/route_cwd.c %D%/route_exec.c %D%/route_fd.c %D%/route_fsize.c %D%/route_io.c %D%/route_lock_exec.c %D%/route_pass.c %D%/route_path.c %D%/route_proc.c \
  %D%/route_table.c %D%/route_thread.c %D%/route_walk.c %D%/route_node.c %D%/route_sock.c %D%/hooks_fs_sock.c
# Routed files that the kernel itself maps, runs and copies.
zio_fs_map = %D%/hooks_fs_copy.c %D%/route_bus.c %D%/route_map.c %D%/route_map_place.c %D%/route_map_table.c %D%/route_libs.c %D%/route_mremap.c \
  %D%/route_map_syscall.c %D%/route_memory.c %D%/route_xexec.c
%C%_libzio_la_SOURCES = $(zio_pure) $(zio_fs_paths) $(zio_fs_core) $(zio_fs_map) \
  %D%/alloc.c %D%/area.c %D%/area_fork.c %D%/area_pages.c %D%/calibrate.c %D%/cancel.c %D%/config.c %D%/copy.c %D%/front.c \
  %D%/helper.c %D%/hooks_fd.c %D%/hooks_mem.c %D%/hooks_proc.c %D%/hooks_recv.c %D%/hooks_send.c %D%/hooks_sig.c \
  %D%/init.c %D%/iobuf.c %D%/limits.c %D%/lock.c %D%/real.c %D%/sockmap.c %D%/sockmap.h %D%/stats.c %D%/uffd.c %D%/vmquery.c
%C%_libzio_la_CFLAGS = $(ZIO_CFLAGS) -fno-stack-protector -ftls-model=initial-exec -fexceptions
%C%_libzio_la_LIBADD = %D%/libmemops.la
# An anonymous version script: memcpy@GLIBC_2.14 would not be interposed by a versioned one. Bound at load, since the
# fault helper can't run the dynamic linker; first to be initialised, since every other library copies. Our own calls of
# what we hook are bound here, since a program may have functions of the same names that mean something else, or that
# call us; but for the allocator, which is the program's.
%C%_libzio_la_LDFLAGS = -module -avoid-version -shared -Wl,-z,now -Wl,-z,initfirst \
  -Wl,--version-script=$(srcdir)/%D%/libzio.map -Wl,--dynamic-list=$(srcdir)/%D%/libzio.dynamic
EXTRA_%C%_libzio_la_DEPENDENCIES = $(srcdir)/%D%/libzio.map $(srcdir)/%D%/libzio.dynamic
EXTRA_DIST += %D%/libzio.map %D%/libzio.dynamic

# libzio-profile.so, which `zio profile` preloads. The version script keeps everything but the hooks inside; libunwind
# is opened at run time, and not linked (see profiler_record.c).
pkglib_LTLIBRARIES += %D%/libzio-profile.la
%C%_libzio_profile_la_SOURCES = %D%/profiler.c %D%/profiler_record.c %D%/profiler.h %D%/profiler_record.h
%C%_libzio_profile_la_CFLAGS = $(ZIO_CFLAGS) -O2 -fno-builtin -fno-stack-protector -ftls-model=initial-exec
%C%_libzio_profile_la_LDFLAGS = -module -avoid-version -shared -Wl,--version-script=$(top_srcdir)/%D%/profiler.map
%C%_libzio_profile_la_DEPENDENCIES = %D%/profiler.map
EXTRA_DIST += %D%/profiler.map
