// SPDX-License-Identifier: Apache-2.0
// What surrounds the bench: the library to measure, the CPUs to use, the machine's description.
#ifndef ZIO_BENCH_ENV_H
#define ZIO_BENCH_ENV_H

#include <jansson.h>
#include <stdint.h>

// CLOCK_MONOTONIC in nanoseconds.
uint64_t now_ns(void);

// Finds libzio.so (--lib, ZIO_LIBDIR, next to this program's build, PKGLIBDIR) into opt.lib and picks the
// CPUs. Returns 0, or -1 after a message on standard error.
int env_init(void);

// If this program itself was started under libzio.so, starts it again without: the client must be plain.
void env_drop_preload(char **argv);

// Pins the calling thread.
void env_pin(int cpu);
// Gives it all CPUs back that the bench may use.
void env_unpin(void);

// The path of `zio` itself, into out (at least 4096 bytes): beside this build, what ZIO_EXE says, or in PATH.
// 0 or -ENOENT.
int env_zio(char *out);
// The path of a file that belongs to the bench, such as "peers/ceph.sh", which lies beside its program. The
// same.
int env_beside(const char *name, char *out);

enum { ENV_PLAIN, ENV_SHIM, ENV_NOCOPY }; // NOCOPY: with libzio-nocopy.so alone (nocopy.c)
// An environment for a child: LD_PRELOAD without libzio.so, or with it first. Free with env_free().
// NULL: out of memory.
char **env_for(int shim);
void env_free(char **envp);

// The machine: CPU, kernel, huge pages. A new reference.
json_t *env_machine(void);

// "512K", "4M", "64": a size as people write it. `out` holds at least 16 bytes. Returns out.
char *size_text(uint64_t n, char *out);

enum { TMPDIR_MAX = 256 };
// A new directory under $TMPDIR, into out (TMPDIR_MAX bytes). 0 or -errno.
int tmpdir_make(char *out);
// Removes it with all it holds; it must have come from tmpdir_make().
void tmpdir_remove(const char *dir);

#endif
