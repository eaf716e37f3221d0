# SPDX-License-Identifier: Apache-2.0
# No sanitizer: the workers are ordinary programs under a preloaded library. -fno-builtin: their copies must call libc,
# through the PLT, as those of a program with variable sizes do.
pkglibexec_PROGRAMS += %D%/zio-bench
%C%_zio_bench_SOURCES = \
	%D%/bench.h \
	%D%/main.c \
	%D%/opts.c %D%/opts.h \
	%D%/env.c %D%/env.h \
	%D%/guard.c %D%/guard.h \
	%D%/measure.c %D%/measure.h \
	%D%/result.c %D%/result.h \
	%D%/plot.c %D%/plot.h \
	%D%/pattern.h \
	%D%/wire.h \
	%D%/proc.c %D%/proc.h \
	%D%/drain.c %D%/drain.h \
	%D%/zstat.c %D%/zstat.h \
	%D%/worker.c %D%/worker.h \
	%D%/worker_copy.c \
	%D%/worker_echo.c \
	%D%/worker_alloc.c \
	%D%/worker_micro.c \
	%D%/run_copy.c \
	%D%/run_echo.c \
	%D%/run_alloc.c \
	%D%/run_micro.c \
	%D%/worker_table.c \
	%D%/run_table.c \
	%D%/run_demo.c \
	%D%/run_report.c \
	%D%/worker_fs.h %D%/worker_fs.c %D%/worker_fs_tree.c %D%/worker_fs_posix.c \
	%D%/fsway.h %D%/fsway.c \
	%D%/run_fs.h %D%/run_fs.c %D%/run_fs_tree.c %D%/run_fs_many.c \
	%D%/render.c %D%/render.h \
	%D%/load.c %D%/load.h \
	%D%/run_app.c %D%/app.h \
	%D%/app_redis.c \
	%D%/app_http.c \
	%D%/app_batch.c \
	%D%/run_sock.c %D%/sock.h %D%/sock_app.c %D%/worker_sock.c \
	%D%/prog.c %D%/prog.h \
	%D%/resp.c %D%/resp.h \
	%D%/http.c %D%/http.h
# Beside libzio.so, where zio-bench finds it. Never preloaded but by `zio bench app --ceiling`.
pkglib_LTLIBRARIES += libzio/libzio-nocopy.la
libzio_libzio_nocopy_la_SOURCES = %D%/nocopy.c
libzio_libzio_nocopy_la_CFLAGS = $(ZIO_CFLAGS) -O2 -fno-builtin -fno-stack-protector
libzio_libzio_nocopy_la_LDFLAGS = -module -avoid-version -shared
%C%_zio_bench_CFLAGS = $(ZIO_CFLAGS) $(JANSSON_CFLAGS) -fno-builtin
%C%_zio_bench_LDADD = $(JANSSON_LIBS)

# The same file work through libfsclient, in a program of its own.
pkglibexec_PROGRAMS += %D%/zio-bench-fsc
%C%_zio_bench_fsc_SOURCES = %D%/worker.h %D%/wire.h %D%/pattern.h %D%/worker_fs.h %D%/worker_fs.c %D%/worker_fs_tree.c %D%/worker_fs_lib.c
%C%_zio_bench_fsc_CFLAGS = $(AM_CFLAGS)
%C%_zio_bench_fsc_LDADD = $(FSCLIENT_LIBS)

# How others' file systems are started for comparison. configure links them into the build tree, beside zio-bench.
peersdir = $(pkglibexecdir)/peers
dist_peers_SCRIPTS = %D%/peers/passthrough.sh %D%/peers/moosefs.sh %D%/peers/gluster.sh %D%/peers/ceph.sh
dist_peers_DATA = %D%/peers/lib.sh
