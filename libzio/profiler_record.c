// SPDX-License-Identifier: Apache-2.0
// Records copies by call stack in the shared table. See profiler_record.h and profiler.h.
#include "libzio/profiler_record.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROBES 64        // slots looked at before an entry counts as not fitting
#define HOOK_FRAMES 8    // frames of this library that may lie above the caller of memcpy
#define CACHE_SIZE 4096u // a power of two

typedef int (*backtrace_fn)(void **, int);

// All written once, in profiler_start(), before any copy is recorded.
static struct zio_prof_table *table;
static backtrace_fn backtrace_of;   // libunwind's
static char program[ZIO_PROF_PATH]; // path of the running program

// This process's addresses to table entries: the upper 48 bits of the hash of the raw return addresses, and
// below them the index. It spares looking up every frame's object again. One word an entry, so that it needs
// no lock.
static _Atomic uint64_t cache[CACHE_SIZE];

// Set while this thread records: libunwind copies, too, and a signal handler may.
static _Thread_local bool recording;

static uint64_t
mix(uint64_t hash, uint64_t v)
{
    hash = (hash ^ v) * UINT64_C(0x9fb21c651e98df25);
    return hash ^ (hash >> 32);
}

static uint64_t
hash_string(const char *s)
{
    uint64_t hash = 1;

    for (; *s; s++)
        hash = mix(hash, (unsigned char)*s);
    return hash ? hash : 1;
}

static void
copy_string(char *dst, size_t room, const char *src)
{
    size_t i = 0;

    for (; src[i] && i + 1 < room; i++)
        dst[i] = src[i];
    dst[i] = '\0';
}

// The object's path as `zio profile` can open it: the dynamic linker gives "" for the program, and relative
// paths as they were found.
static void
absolute_path(const char *name, char out[ZIO_PROF_PATH])
{
    char cwd[PATH_MAX];
    size_t len;

    if (!name || !*name || (*name != '/' && !strchr(name, '/'))) {
        copy_string(out, ZIO_PROF_PATH, name && *name ? name : program); // "linux-vdso.so.1" stays as it is
        return;
    }
    if (*name != '/' && getcwd(cwd, sizeof cwd)) {
        copy_string(out, ZIO_PROF_PATH, cwd);
        len = strlen(out);
        copy_string(out + len, ZIO_PROF_PATH - len, "/");
        len = strlen(out);
        copy_string(out + len, ZIO_PROF_PATH - len, name);
        return;
    }
    copy_string(out, ZIO_PROF_PATH, name);
}

static uint32_t
module_index(const char *name)
{
    char path[ZIO_PROF_PATH];
    uint64_t key;

    absolute_path(name, path);
    key = hash_string(path);
    for (uint32_t i = 0; i < PROBES; i++) {
        uint32_t at = (uint32_t)(key + i) & (ZIO_PROF_MODULES - 1);
        struct zio_prof_module *m = &table->modules[at];
        uint64_t found = 0;

        if (atomic_compare_exchange_strong(&m->key, &found, key)) {
            copy_string(m->path, sizeof m->path, path);
            atomic_store_explicit(&m->ready, 1, memory_order_release); // pairs with the reader's acquire
            return at;
        }
        if (found == key)
            return at;
    }
    return ZIO_PROF_NO_MODULE;
}

// What a return address is, independent of where this process has the object.
static void
locate(void *address, uint32_t *module, uint64_t *offset)
{
    struct dl_find_object object;

    // One byte back: a call may be the last instruction of its object.
    if (_dl_find_object((char *)address - 1, &object) != 0) {
        *module = ZIO_PROF_NO_MODULE;
        *offset = (uintptr_t)address;
        return;
    }
    *module = module_index(object.dlfo_link_map->l_name);
    *offset = (uintptr_t)address - object.dlfo_link_map->l_addr;
}

// Finds or makes the entry of a stack. NULL: no room.
static struct zio_prof_stack *
stack_entry(void *const *frames, uint32_t depth)
{
    uint32_t module[ZIO_PROF_FRAMES];
    uint64_t offset[ZIO_PROF_FRAMES];
    uint64_t key = 1;

    for (uint32_t i = 0; i < depth; i++) {
        locate(frames[i], &module[i], &offset[i]);
        key = mix(mix(key, module[i]), offset[i]);
    }
    key = key ? key : 1;
    for (uint32_t i = 0; i < PROBES; i++) {
        struct zio_prof_stack *s = &table->stacks[(key + i) & (ZIO_PROF_STACKS - 1)];
        uint64_t found = 0;

        if (atomic_compare_exchange_strong(&s->key, &found, key)) {
            s->depth = depth;
            for (uint32_t f = 0; f < depth; f++) {
                s->module[f] = module[f];
                s->offset[f] = offset[f];
            }
            atomic_store_explicit(&s->ready, 1, memory_order_release); // pairs with the reader's acquire
            return s;
        }
        if (found == key)
            return s;
    }
    return NULL;
}

// The same through the cache.
static struct zio_prof_stack *
stack_cached(void *const *frames, uint32_t depth)
{
    const uint64_t index_mask = 0xffff;
    struct zio_prof_stack *s;
    uint64_t hash = 1, word;
    _Atomic uint64_t *slot;

    _Static_assert(ZIO_PROF_STACKS <= 0x10000, "an index fits 16 bits");
    for (uint32_t i = 0; i < depth; i++)
        hash = mix(hash, (uintptr_t)frames[i]);
    slot = &cache[(hash >> 16) & (CACHE_SIZE - 1)];
    word = atomic_load_explicit(slot, memory_order_relaxed);
    if (word && (word & ~index_mask) == (hash & ~index_mask))
        return &table->stacks[word & index_mask];
    s = stack_entry(frames, depth);
    if (s)
        atomic_store_explicit(slot, (hash & ~index_mask) | (uint64_t)(s - table->stacks),
                              memory_order_relaxed);
    return s;
}

static void
raise_to(_Atomic uint64_t *max, uint64_t v)
{
    uint64_t old = atomic_load_explicit(max, memory_order_relaxed);

    while (old < v &&
           !atomic_compare_exchange_weak_explicit(max, &old, v, memory_order_relaxed, memory_order_relaxed))
        ;
}

static void
add(_Atomic uint64_t *sum, uint64_t v)
{
    atomic_fetch_add_explicit(sum, v, memory_order_relaxed);
}

void
profiler_record(size_t n, uint64_t start, void *caller)
{
    uint64_t end = __builtin_ia32_rdtsc();
    void *frames[HOOK_FRAMES + ZIO_PROF_FRAMES];
    struct zio_prof_stack *s;
    int saved = errno, depth, first = 0;
    unsigned bucket = 63 - (unsigned)__builtin_clzll(n | 1);

    if (recording) {
        add(&table->nested_copies, 1);
        add(&table->nested_bytes, n);
        return;
    }
    recording = true;
    depth = backtrace_of(frames, HOOK_FRAMES + ZIO_PROF_FRAMES);
    while (first < depth && frames[first] != caller)
        first++;
    if (first >= depth) { // not unwindable from here: the caller alone is still known
        frames[0] = caller;
        first = 0;
        depth = 1;
    }
    depth -= first;
    s = stack_cached(frames + first, (uint32_t)depth < ZIO_PROF_FRAMES ? (uint32_t)depth : ZIO_PROF_FRAMES);
    if (s) {
        bucket = bucket < ZIO_PROF_BUCKETS ? bucket : ZIO_PROF_BUCKETS - 1;
        add(&s->size[bucket].copies, 1);
        add(&s->size[bucket].bytes, n);
        add(&s->size[bucket].ticks, end - start);
        raise_to(&s->max, n);
        raise_to(&s->nmin, UINT64_MAX - n);
    } else {
        add(&table->overflow_copies, 1);
        add(&table->overflow_bytes, n);
    }
    add(&table->record_ticks, __builtin_ia32_rdtsc() - end);
    recording = false;
    errno = saved;
}

// libunwind's own symbols must not get into the program's scope: its _Unwind_* functions would take the place
// of libgcc's for C++ exceptions. Hence not linked, but opened locally.
static backtrace_fn
find_backtrace(void)
{
    void *lib = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);

    return lib ? (backtrace_fn)dlsym(lib, "unw_backtrace") : NULL;
}

static struct zio_prof_table *
map_table(const char *path)
{
    struct zio_prof_table *t = MAP_FAILED;
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && (size_t)st.st_size == sizeof *t)
        t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (t == MAP_FAILED)
        return NULL;
    if (t->magic != ZIO_PROF_MAGIC || t->version != ZIO_PROF_VERSION || t->size != sizeof *t) {
        munmap(t, sizeof *t);
        return NULL;
    }
    return t;
}

size_t
profiler_start(const char *path)
{
    void *warm[4];
    ssize_t len;

    if (!path)
        return SIZE_MAX;
    backtrace_of = find_backtrace();
    table = backtrace_of ? map_table(path) : NULL;
    if (!table)
        return SIZE_MAX;
    len = readlink("/proc/self/exe", program, sizeof program - 1);
    program[len > 0 ? len : 0] = '\0';
    backtrace_of(warm, 4); // libunwind sets itself up now, not in some signal handler
    add(&table->processes, 1);
    return (size_t)table->minimum;
}
