# SPDX-License-Identifier: Apache-2.0
# The chunk engine, linked into fsclient and the chunk server. It knows neither of them, nor the metadata.
noinst_HEADERS += %D%/chunk.h %D%/impl.h %D%/sum.h
noinst_LTLIBRARIES += %D%/libzchunk.la
%C%_libzchunk_la_SOURCES = %D%/cache.c %D%/change.c %D%/clone.c %D%/direct.c %D%/gate.c %D%/io.c %D%/list.c %D%/names.c %D%/read.c %D%/scrub.c \
  %D%/slot.c %D%/store.c %D%/sum.c %D%/sumfile.c %D%/sync.c %D%/write.c
%C%_libzchunk_la_CFLAGS = $(AM_CFLAGS) $(ISAL_CFLAGS) -pthread
%C%_libzchunk_la_LIBADD = $(ISAL_LIBS)
# What the engine costs over the file system below; `make chunk/chunk-bench`.
EXTRA_PROGRAMS += %D%/chunk-bench
%C%_chunk_bench_SOURCES = %D%/bench.c
%C%_chunk_bench_LDADD = %D%/libzchunk.la
