// SPDX-License-Identifier: Apache-2.0
// A store: its directory, its header, and the handle on it.
//
//   store                      header: magic, version, block size, chunk size, mode, CRC
//   gate                       who writes now (gate.c); worth nothing after a boot
//   3a7/00000000000e9c40       data of a chunk: low 10 bits of its group's number / its id
//   3a7/0000000000003a71.sum   sums of a group of chunks: its number
//   3a7/00000000000e9c40.tmp   data that is to get that name
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "chunk/impl.h"

#define HEADER_MAGIC "zIOchunk"
#define HEADER_SIZE 64 // magic 8, version 4, block size 4, chunk size 8, mode 4, zeros, CRC 4
enum { ALIVE_WIPED = 0, ALIVE_READY = 1, ALIVE_BUSY = 2 };

void
store_name(char name[NAME_SIZE], enum name_kind kind, uint64_t id)
{
    static const char digit[] = "0123456789abcdef";
    uint64_t group = id / GROUP_CHUNKS, number = kind == NAME_SUMS ? group : id;
    uint32_t dir = (uint32_t)(group % DIRS);

    for (int i = 0; i < 3; i++)
        name[i] = digit[dir >> (8 - 4 * i) & 15];
    name[3] = kind == NAME_DIR ? '\0' : '/';
    for (int i = 0; i < 16; i++)
        name[4 + i] = digit[number >> (60 - 4 * i) & 15];
    memcpy(name + 20, kind == NAME_SUMS ? ".sum" : kind == NAME_TMP ? ".tmp" : "\0\0\0\0", 5);
}

void
store_event(struct chunk_store *s, enum chunk_event_kind kind, uint64_t id, uint64_t off, uint64_t len,
            const char *text)
{
    char name[NAME_SIZE] = ".";

    if (!s->opt.message)
        return;
    if (id)
        store_name(name, NAME_DATA, id);
    struct chunk_event event = {
        .kind = kind, .id = id, .offset = off, .len = len, .file = name, .text = text};
    s->opt.message(s->opt.message_arg, &event);
}

static void
put(unsigned char *at, unsigned bytes, uint64_t value)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static uint64_t
get(const unsigned char *at, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

static void
header_make(unsigned char h[HEADER_SIZE], uint64_t chunk_size, mode_t mode)
{
    memset(h, 0, HEADER_SIZE);
    memcpy(h, HEADER_MAGIC, 8);
    put(h + 8, 4, CHUNK_FORMAT);
    put(h + 12, 4, CHUNK_BLOCK_SIZE);
    put(h + 16, 8, chunk_size);
    put(h + 24, 4, mode);
    put(h + HEADER_SIZE - 4, 4, sum_block(h, HEADER_SIZE - 4));
}

static bool
chunk_size_good(uint64_t size)
{
    return size && size % CHUNK_BLOCK_SIZE == 0 && size <= CHUNK_SIZE_MAX;
}

static int
header_parse(struct chunk_store *s, const unsigned char *h, ssize_t n)
{
    if (n < 12 || memcmp(h, HEADER_MAGIC, 8) != 0)
        return -EMEDIUMTYPE;
    if (get(h + 8, 4) != CHUNK_FORMAT)
        return -EPROTONOSUPPORT;
    if (n < HEADER_SIZE || get(h + HEADER_SIZE - 4, 4) != sum_block(h, HEADER_SIZE - 4))
        return -EBADMSG;
    s->chunk_size = get(h + 16, 8);
    s->mode = (mode_t)get(h + 24, 4) & 0777;
    if (get(h + 12, 4) != CHUNK_BLOCK_SIZE || !chunk_size_good(s->chunk_size))
        return -EBADMSG;
    s->nblocks = (uint32_t)(s->chunk_size / CHUNK_BLOCK_SIZE);
    uint64_t more = s->nblocks > SLOT_ENTRIES ? s->nblocks - SLOT_ENTRIES : 0;
    s->more_size = (more * 8 + SUM_PAGE - 1) / SUM_PAGE * SUM_PAGE;
    s->sums_size = HEAD_SIZE + GROUP_CHUNKS * s->more_size;
    return 0;
}

// 0: the directory has nothing in it but what a killed format left; -EEXIST: a store; -ENOTEMPTY.
static int
dir_empty(int dirfd)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        r = -errno;
        if (fd >= 0)
            close(fd);
        return r;
    }
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (strcmp(e->d_name, "store") == 0)
            r = -EEXIST;
        else if (e->d_name[0] != '.' && strcmp(e->d_name, "store.tmp") != 0 && r == 0)
            r = -ENOTEMPTY;
    }
    closedir(dir);
    return r;
}

int
chunk_format(const char *path, const struct chunk_format_options *opt)
{
    uint64_t size = opt && opt->chunk_size ? opt->chunk_size : CHUNK_SIZE_DEFAULT;
    mode_t mode = opt && opt->mode ? opt->mode : 0600;
    unsigned char header[HEADER_SIZE];
    int r, fd = -1, dirfd = -1;

    if (!chunk_size_good(size) || mode & ~(mode_t)0777 || (mode & 0600) != 0600)
        return -EINVAL;
    if (mkdir(path, mode | (mode & 0444) >> 2) != 0 && errno != EEXIST)
        return -errno;
    if ((dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return -errno;
    if ((r = dir_empty(dirfd)) < 0)
        goto out;
    r = -EIO;
    header_make(header, size, mode);
    // The name appears with the whole content, and only once.
    if ((fd = openat(dirfd, "store.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)) < 0 ||
        pwrite(fd, header, sizeof header, 0) != (ssize_t)sizeof header || fsync(fd) != 0 ||
        linkat(dirfd, "store.tmp", dirfd, "store", 0) != 0 || unlinkat(dirfd, "store.tmp", 0) != 0 ||
        fsync(dirfd) != 0)
        r = errno ? -errno : -EIO;
    else
        r = 0;
out:
    if (fd >= 0)
        close(fd);
    close(dirfd);
    return r;
}

// A number of this boot: the first 16 digits of the kernel's random name for it. Two processes of one boot
// must have the same, and no two boots: so there is none without the kernel's.
static int
boot_number(uint64_t *boot)
{
    char text[37];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC), digits = 0;

    if (fd < 0)
        return errno == ENOENT || errno == EACCES ? -ENOSYS : -errno;
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    *boot = 0;
    for (ssize_t i = 0; i < n && digits < 16; i++) {
        int c = text[i], d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

        if (d >= 0) {
            *boot = *boot << 4 | (uint64_t)d;
            digits++;
        }
    }
    if (digits < 16)
        return -ENOSYS;
    if (*boot <= HOT_PENDING)
        *boot = HOT_PENDING + 1;
    return 0;
}

// Chunk files and sum files that are kept open: a part of what the process may have, so that the program
// whose process it is does not run out of them.
static void
set_limits(struct chunk_store *s)
{
    struct rlimit rl;
    uint64_t n = s->opt.max_open;

    if (n == 0) {
        n = getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur / 8 < CHUNK_MAX_OPEN_MOST ? rl.rlim_cur / 8
                                                                                        : CHUNK_MAX_OPEN_MOST;
        if (n < CHUNK_MAX_OPEN_DEFAULT)
            n = CHUNK_MAX_OPEN_DEFAULT;
    }
    s->nfiles = (uint32_t)n;
    s->max_idle = s->nfiles / 4 < 8 ? 8 : s->nfiles / 4;
}

// The page that a fork child finds wiped; without it (Linux before 4.14) each call asks for the pid.
static void
alive_make(struct chunk_store *s)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    atomic_store(&s->pid, getpid());
    if (page == MAP_FAILED)
        return;
    if (madvise(page, 4096, MADV_WIPEONFORK) != 0) {
        munmap(page, 4096);
        return;
    }
    s->alive = page;
    atomic_store(s->alive, ALIVE_READY);
}

static void
locks_init(struct chunk_store *s)
{
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->gate_mutex, NULL);
    pthread_mutex_init(&s->group_mutex, NULL);
    for (unsigned i = 0; i < EXCL_MUTEXES; i++)
        pthread_mutex_init(&s->excl[i], NULL);
}

// In a fork child: other threads' locks and calls are gone with them, and locks on files are the parent's.
static int
store_reborn(struct chunk_store *s)
{
    struct stat st;

    locks_init(s);
    if (s->gate_map) {
        gate_close(s);
    }
    cache_close_all(s, false);
    if (fstat(s->root.fd, &st) != 0 || st.st_dev != s->root.dev || st.st_ino != s->root.ino) {
        int fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
            return -errno;
        s->root = io_own(fd);
    }
    int r = cache_init(s);
    return r || s->flags & CHUNK_RDONLY ? r : gate_open(s);
}

static int
store_enter_slow(struct chunk_store *s)
{
    uint32_t wiped = ALIVE_WIPED;
    unsigned round = 0;
    pid_t pid = getpid(), was = atomic_load(&s->pid);
    int r;

    if (!s->alive) {
        if (was == pid)
            return 0;
        // Several threads of a child in this old case: the first to change the pid does it, as best it can.
        if (!atomic_compare_exchange_strong(&s->pid, &was, pid))
            return 0;
        return store_reborn(s);
    }
    while (!atomic_compare_exchange_strong(s->alive, &wiped, ALIVE_BUSY)) {
        if (wiped == ALIVE_READY)
            return 0;
        wiped = ALIVE_WIPED;
        io_nap(&round);
    }
    r = store_reborn(s);
    atomic_store(s->alive, r ? ALIVE_WIPED : ALIVE_READY);
    return r;
}

int
store_enter(struct chunk_store *s)
{
    if (__builtin_expect(s->alive && atomic_load_explicit(s->alive, memory_order_acquire) == ALIVE_READY, 1))
        return 0;
    return store_enter_slow(s);
}

int
store_enter_write(struct chunk_store *s)
{
    return s->flags & CHUNK_RDONLY ? -EROFS : store_enter(s);
}

void *
store_scratch(struct chunk_store *s)
{
    for (unsigned i = 0; i < SCRATCHES; i++) {
        void *p = atomic_load_explicit(&s->scratch[i], memory_order_relaxed);

        if (p && (p = atomic_exchange(&s->scratch[i], NULL)) != NULL)
            return p;
    }
    return aligned_alloc(4096, SCRATCH_SIZE);
}

void
store_unscratch(struct chunk_store *s, void *p)
{
    for (unsigned i = 0; p && i < SCRATCHES; i++) {
        void *none = NULL;

        if (atomic_compare_exchange_strong(&s->scratch[i], &none, p))
            return;
    }
    free(p);
}

static int
root_open(struct chunk_store *s, const char *path)
{
    unsigned char header[HEADER_SIZE];
    ssize_t n;
    int fd;

    if ((s->path = realpath(path, NULL)) == NULL)
        return -errno;
    if ((fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return -errno;
    s->root = io_own(fd);
    if ((fd = io_open(s, "store", O_RDONLY)) < 0)
        return fd == -ENOENT ? -EMEDIUMTYPE : fd;
    n = io_pread_full(s, fd, header, sizeof header, 0);
    close(fd);
    return n < 0 ? (int)n : header_parse(s, header, n);
}

int
chunk_store_open(const char *path, unsigned flags, const struct chunk_open_options *opt,
                 struct chunk_store **out)
{
    struct chunk_store *s;
    int r;

    *out = NULL;
    if (flags & ~CHUNK_RDONLY || (opt && opt->max_open > 65536))
        return -EINVAL;
    if ((s = calloc(1, sizeof *s)) == NULL)
        return -ENOMEM;
    s->flags = flags;
    if (opt)
        s->opt = *opt;
    atomic_store(&s->names, (int)s->opt.names);
    s->io = s->opt.io ? *s->opt.io : io_system;
    set_limits(s);
    TAILQ_INIT(&s->idle);
    s->root.fd = s->gate.fd = -1;
    locks_init(s);
    if ((r = root_open(s, path)) < 0)
        goto out;
    // Read-only, a chunk of another boot is merely not verified; and this may be a system without /proc.
    if ((r = boot_number(&s->boot)) < 0 && !(flags & CHUNK_RDONLY))
        goto out;
    alive_make(s);
    if ((r = cache_init(s)) < 0)
        goto out;
    if (!(flags & CHUNK_RDONLY) && (r = gate_open(s)) < 0)
        goto out;
    *out = s;
    return 0;
out:
    chunk_store_close(s);
    return r;
}

void
chunk_store_close(struct chunk_store *s)
{
    if (!s)
        return;
    bool mine = atomic_load(&s->pid) == getpid();

    cache_close_all(s, mine);
    if (s->gate_map)
        gate_close(s);
    io_disown(&s->root);
    if (s->alive)
        munmap((void *)s->alive, 4096);
    for (unsigned i = 0; i < SCRATCHES; i++)
        free(atomic_load(&s->scratch[i]));
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->gate_mutex);
    pthread_mutex_destroy(&s->group_mutex);
    for (unsigned i = 0; i < EXCL_MUTEXES; i++)
        pthread_mutex_destroy(&s->excl[i]);
    free(s->path);
    free(s);
}

uint64_t
chunk_store_chunk_size(const struct chunk_store *s)
{
    return s->chunk_size;
}
