// SPDX-License-Identifier: Apache-2.0
// Making and removing chunks, and changing them as a whole: size, holes, version. All of it with the chunk
// for oneself.
#include <errno.h>
#include <unistd.h>

#include "chunk/impl.h"

#define BLOCK CHUNK_BLOCK_SIZE

int
file_size(struct chunk_file *cf, uint64_t *size)
{
    struct stat st;

    if (fstat(cf->file.fd, &st) != 0)
        return -errno;
    *size = (uint64_t)st.st_size;
    return 0;
}

// Under the group lock.
static int
make(struct chunk_store *s, struct group *g, uint64_t id)
{
    char name[NAME_SIZE];
    int r, fd;

    store_name(name, NAME_DATA, id);
    // A slot without a data file is what a killed process left; the other way round, the file's own making
    // tells.
    if (slot_check(s, g, id) != -ENOENT && (r = io_exists(s, name)) != 0)
        return r < 0 ? r : -EEXIST;
    slot_make(s, g, id, 1, SLOT_NAME_NEW);
    if ((fd = io_open(s, name, O_RDWR | O_CREAT | O_EXCL)) < 0)
        (void)slot_free(s, g, id);
    else
        store_step(s, "created");
    return fd;
}

int
chunk_create(struct chunk_store *s, uint64_t id)
{
    struct group *g;
    int fd, r = store_enter_write(s);

    if (r)
        return r;
    if (id == 0)
        return -EINVAL;
    for (int i = 0; i < TRIES; i++) {
        if ((r = group_get(s, id / GROUP_CHUNKS, true, &g)) < 0)
            return r;
        if ((r = group_lock(s, g, id)) == 0) {
            r = fd = make(s, g, id);
            group_unlock(s, g);
            if (fd >= 0) {
                // It is made, whether or not it stays open here.
                (void)cache_add(s, id, fd, g);
                return 0;
            }
        }
        group_put(s, g);
        if (r != -ESTALE)
            return r;
    }
    return -EBUSY;
}

static int
remove_file(struct chunk_store *s, struct chunk_file *cf)
{
    uint64_t id = atomic_load(&cf->id);
    char name[NAME_SIZE];
    int r = group_lock(s, cf->group, id);

    if (r)
        return r;
    store_name(name, NAME_DATA, id);
    if ((r = io_unlink(s, name)) == 0) {
        store_step(s, "unlinked");
        (void)slot_free(s, cf->group, id); // what is left of it, a scrub finds
    }
    group_unlock(s, cf->group);
    return r;
}

// A chunk whose sums are missing: opening it makes it some.
static int
remove_stray(struct chunk_store *s, uint64_t id)
{
    struct chunk_file *cf;
    int r = cache_get(s, id, &cf);

    if (r)
        return r;
    if ((r = excl_enter(s, cf, true)) == 0) {
        r = remove_file(s, cf);
        excl_leave(s, cf);
    }
    (void)cache_put(s, cf, -ESTALE);
    return r;
}

int
chunk_delete(struct chunk_store *s, uint64_t id)
{
    int r = store_enter_write(s);

    if (r)
        return r;
    r = -ESTALE;
    for (int i = 0; i < TRIES && r == -ESTALE; i++) {
        // Its data need not be opened for that.
        struct chunk_file cf = {.file.fd = -1};
        struct group *g;

        if (id == 0)
            return -ENOENT;
        if ((r = group_get(s, id / GROUP_CHUNKS, false, &g)) == -ENOENT) {
            r = remove_stray(s, id);
            continue;
        }
        if (r)
            return r;
        atomic_store(&cf.id, id);
        slot_find(s, g, id, &cf);
        cf.seq = atomic_load(&cf.slot[SLOT_SEQ]);
        if ((r = slot_check(s, cf.group, id)) == 0 && (r = excl_enter(s, &cf, true)) == 0) {
            r = remove_file(s, &cf);
            excl_leave(s, &cf);
        } else if (r == -ENOENT || r == -EBADMSG) {
            // -ESTALE: what this handle has open is the file of before; it is forgotten now.
            r = remove_stray(s, id);
        }
        group_put(s, cf.group);
    }
    if (r == 0)
        cache_drop(s, id);
    return r == -ESTALE ? -EBUSY : r;
}

// A change to [from, to) that is not writing.
struct cut {
    uint64_t from, to;
    bool punch; // else truncate to `from`
};

// A block of which a part stays must be right before it gets a new sum.
static int
check_edge(struct chunk_store *s, struct chunk_file *cf, uint64_t at)
{
    void *scratch;
    int r;

    if (at % BLOCK == 0 || at / BLOCK >= slot_backed(s, cf->slot))
        return 0;
    if ((scratch = store_scratch(s)) == NULL)
        return -ENOMEM;
    r = block_check(s, cf, (uint32_t)(at / BLOCK), scratch);
    store_unscratch(s, scratch);
    return r;
}

// The blocks that [from, to) touches: as if somebody were writing to them, so that nobody sums them
// meanwhile; or, when that is done, those wholly inside NONE and the others DIRTY. What may be written
// through a descriptor stays so.
static void
restate(struct chunk_store *s, struct chunk_file *cf, const struct cut *c, bool begin, bool done, bool direct)
{
    uint64_t end = (c->to + BLOCK - 1) / BLOCK, backed = slot_backed(s, cf->slot);

    for (uint64_t b = c->from / BLOCK; b < end && b < backed; b++) {
        word_t *word = entry_word(cf, (uint32_t)b);
        uint64_t entry = atomic_load(word);
        bool whole = b * BLOCK >= c->from && (b + 1) * BLOCK <= c->to;

        if (entry == 0)
            continue;
        if (direct && sum_state(entry) == SUM_DIRECT)
            atomic_store(word, sum_restate(entry, SUM_DIRECT));
        else
            atomic_store(word, sum_pack(done && whole ? SUM_NONE : SUM_DIRTY, begin, sum_gen(entry) + 1, 0));
    }
}

static int
sum_edges(struct chunk_store *s, struct chunk_file *cf, const struct cut *c)
{
    void *scratch = store_scratch(s);
    uint64_t edge[2] = {c->from / BLOCK, c->to / BLOCK};
    int r = 0;

    // Without memory, or if it can't be read, the sum waits for chunk_sync.
    for (int i = 0; scratch && i < 2 && r >= 0; i++)
        if (edge[i] < slot_backed(s, cf->slot))
            r = sum_one(s, cf, (uint32_t)edge[i], scratch);
    store_unscratch(s, scratch);
    return 0;
}

static int
cut(struct chunk_store *s, struct chunk_file *cf, void *arg)
{
    struct cut *c = arg, todo = *c;
    uint64_t size = 0;
    int r, direct;

    if ((r = write_heat(s, cf)) < 0 || (r = file_size(cf, &size)) < 0)
        return r;
    if (c->punch && c->from >= size)
        return 0;
    // Behind the end all is zeros already, so the last block counts as whole.
    if (!c->punch || c->to >= size)
        todo.to = s->chunk_size;
    if ((r = check_edge(s, cf, todo.from)) < 0 || (r = check_edge(s, cf, todo.to)) < 0 ||
        (r = direct = direct_live(cf)) < 0)
        return r;
    restate(s, cf, &todo, true, false, direct);
    store_step(s, "cut-dirty");
    // Only now, so that sums never tell of bytes that the copy leaves out.
    if (atomic_load(&cf->slot[SLOT_FLAGS]) & SLOT_SHARED &&
        (r = clone_break(s, cf, c->punch ? s->chunk_size : c->from)) != 0) {
        restate(s, cf, &todo, false, false, direct);
        return r;
    }
    if (!c->punch)
        r = io_ftruncate(s, cf->file.fd, c->from);
    else
        r = io_fallocate(s, cf->file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, c->from,
                         (c->to < size ? c->to : size) - c->from);
    write_note(cf);
    store_step(s, "cut-done");
    restate(s, cf, &todo, false, r == 0, direct);
    return r ? r : sum_edges(s, cf, &todo);
}

int
chunk_truncate(struct chunk_store *s, uint64_t id, uint64_t size)
{
    struct cut c = {.from = size, .to = s->chunk_size};
    int r = store_enter_write(s);

    if (r)
        return r;
    return size > s->chunk_size ? -EFBIG : excl_do(s, id, cut, &c);
}

int
chunk_punch(struct chunk_store *s, uint64_t id, uint64_t off, uint64_t len)
{
    struct cut c = {.from = off, .to = s->chunk_size, .punch = true};
    int r = store_enter_write(s);

    if (r)
        return r;
    if (off >= s->chunk_size || len == 0) {
        struct chunk_info info;

        return chunk_stat(s, id, &info);
    }
    if (len < s->chunk_size - off)
        c.to = off + len;
    return excl_do(s, id, cut, &c);
}

struct allocate {
    uint64_t off, len;
    bool keep_size;
};

static int
allocate(struct chunk_store *s, struct chunk_file *cf, void *arg)
{
    const struct allocate *a = arg;
    uint32_t blocks = (uint32_t)((a->off + a->len + BLOCK - 1) / BLOCK);
    // What is reserved reads as zeros, so no sum changes; the sums' own space is reserved too.
    int r = write_prepare(s, cf, blocks);

    if (r == 0)
        r = io_fallocate(s, cf->file.fd, a->keep_size ? FALLOC_FL_KEEP_SIZE : 0, a->off, a->len);
    write_note(cf);
    return r;
}

int
chunk_allocate(struct chunk_store *s, uint64_t id, uint64_t off, uint64_t len, bool keep_size)
{
    struct allocate a = {off, len, keep_size};
    int r = store_enter_write(s);

    if (r)
        return r;
    if (len == 0)
        return -EINVAL;
    if (off > s->chunk_size || len > s->chunk_size - off)
        return -EFBIG;
    return excl_do(s, id, allocate, &a);
}

// Do fn with the chunk's file while that is current.
static int64_t
with_file(struct chunk_store *s, uint64_t id,
          int64_t (*fn)(struct chunk_store *s, struct chunk_file *cf, void *arg), void *arg)
{
    struct chunk_file *cf;
    int64_t n = -ESTALE;
    int r = store_enter(s);

    if (r)
        return r;
    for (int i = 0; i < TRIES && n == -ESTALE; i++) {
        if ((r = cache_get(s, id, &cf)) < 0)
            return r;
        n = fn(s, cf, arg);
        if (!file_current(cf)) {
            n = -ESTALE;
            if (cf->seq & 1)
                (void)gate_pass(s, cf);
        }
        (void)cache_put(s, cf, n == -ESTALE ? -ESTALE : 0);
    }
    return n == -ESTALE ? -EBUSY : n;
}

struct seek {
    uint64_t off;
    int whence;
};

static int64_t
seek(struct chunk_store *s, struct chunk_file *cf, void *arg)
{
    const struct seek *k = arg;
    off_t at = lseek(cf->file.fd, (off_t)k->off, k->whence);

    return at < 0 ? -errno : at;
}

int64_t
chunk_seek(struct chunk_store *s, uint64_t id, uint64_t off, int whence)
{
    struct seek k = {off, whence};

    if (whence != SEEK_DATA && whence != SEEK_HOLE)
        return -EINVAL;
    return off > s->chunk_size ? -ENXIO : with_file(s, id, seek, &k);
}

static int64_t
info(struct chunk_store *s, struct chunk_file *cf, void *arg)
{
    struct chunk_info *out = arg;
    uint32_t backed = slot_backed(s, cf->slot);
    struct stat st;

    if (fstat(cf->file.fd, &st) != 0)
        return -errno;
    *out = (struct chunk_info){.id = atomic_load(&cf->id),
                               .size = (uint64_t)st.st_size,
                               .stored = (uint64_t)st.st_blocks * 512,
                               .shared = st.st_nlink > 1,
                               .changed = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec};
    for (uint32_t b = 0; b < backed; b++)
        out->unsummed +=
            sum_state(atomic_load_explicit(entry_word(cf, b), memory_order_relaxed)) >= SUM_DIRTY;
    return version_unpack(atomic_load(&cf->slot[SLOT_VERSION]), &out->version) == 0 || cf->group->lost ? 0
                                                                                                       : -EIO;
}

int
chunk_stat(struct chunk_store *s, uint64_t id, struct chunk_info *out)
{
    return (int)with_file(s, id, info, out);
}

struct versions {
    uint64_t from, to;
};

static int
set_version(struct chunk_store *s, struct chunk_file *cf, void *arg)
{
    const struct versions *v = arg;
    uint64_t from = version_pack(v->from);

    if (!atomic_compare_exchange_strong(&cf->slot[SLOT_VERSION], &from, version_pack(v->to)))
        return -EAGAIN;
    write_note(cf);
    return 0;
}

int
chunk_set_version(struct chunk_store *s, uint64_t id, uint64_t from, uint64_t to)
{
    struct versions v = {from, to};
    int r = store_enter_write(s);

    if (r)
        return r;
    return to > CHUNK_VERSION_MAX || from > CHUNK_VERSION_MAX ? -EINVAL : excl_do(s, id, set_version, &v);
}
