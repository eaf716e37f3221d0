// SPDX-License-Identifier: Apache-2.0
// The chunk files that a handle keeps open, at most store->nfiles; which one goes is found by a clock. A
// look-up of an open chunk takes no lock: two atomic operations on its pins.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chunk/impl.h"

int
cache_init(struct chunk_store *s)
{
    if (s->files)
        return 0;
    for (s->nbuckets = 16; s->nbuckets < 4 * s->nfiles;)
        s->nbuckets *= 2;
    s->files = calloc(s->nfiles, sizeof *s->files);
    s->buckets = calloc(s->nbuckets, sizeof *s->buckets);
    s->hints = calloc(s->nbuckets, sizeof *s->hints);
    if (!s->files || !s->buckets || !s->hints)
        return -ENOMEM; // what there is of it goes with the store
    TAILQ_INIT(&s->idle);
    return 0;
}

static uint32_t
bucket_of(const struct chunk_store *s, uint64_t id)
{
    return (uint32_t)(id * 0x9e3779b97f4a7c15ull >> 32) & (s->nbuckets - 1);
}

// Take cf for reuse: off its bucket, no new pins. store->lock. *was: the chunk it had, 0 for none. false: it
// is in use.
static bool
take(struct chunk_store *s, struct chunk_file *cf, uint64_t *was)
{
    uint64_t id = atomic_load(&cf->id);
    int none = 0;

    *was = id;
    if (id == 0)
        return true;
    if (!atomic_compare_exchange_strong(&cf->pins, &none, PINS_CLOSED))
        return false;
    for (struct chunk_file **p = &s->buckets[bucket_of(s, id)]; *p; p = &(*p)->next) {
        if (*p == cf) {
            *p = cf->next;
            break;
        }
    }
    atomic_store(&cf->id, 0);
    return true;
}

// What a taken chunk file held, to be let go of without store->lock.
struct husk {
    uint64_t id, seq;
    struct owned_fd file;
    struct group *group;
    word_t *slot, *more;
    bool wrote;
};

static struct husk
gut(struct chunk_file *cf, uint64_t id)
{
    struct husk h = {id, cf->seq, cf->file, cf->group, cf->slot, cf->more, atomic_load(&cf->wrote)};

    cf->file.fd = -1;
    cf->group = NULL;
    cf->slot = cf->more = NULL;
    return h;
}

static void
bin(struct chunk_store *s, struct husk *h)
{
    if (h->wrote && h->id) {
        struct chunk_file cf = {
            .file = h->file, .group = h->group, .slot = h->slot, .more = h->more, .seq = h->seq};

        atomic_store(&cf.id, h->id);
        sums_tidy(s, &cf);
    }
    io_disown(&h->file);
    if (h->group)
        group_put(s, h->group);
}

static struct chunk_file *
find(struct chunk_store *s, uint64_t id)
{
    for (struct chunk_file *cf = s->buckets[bucket_of(s, id)]; cf; cf = cf->next)
        if (atomic_load(&cf->id) == id && !atomic_load(&cf->stale))
            return cf;
    return NULL;
}

// A chunk file with nothing in it, or NULL when all are in use.
static struct chunk_file *
victim(struct chunk_store *s, uint64_t *was)
{
    if (s->begun < s->nfiles) {
        struct chunk_file *cf = &s->files[s->begun++];

        cf->file.fd = -1;
        atomic_store(&cf->pins, PINS_CLOSED);
        pthread_mutex_init(&cf->flush.mutex, NULL);
        *was = 0;
        return cf;
    }
    for (uint32_t i = 0; i < 2 * s->nfiles + 1; i++) {
        struct chunk_file *cf = &s->files[s->hand];

        s->hand = (s->hand + 1) % s->nfiles;
        if (i < 2 * s->nfiles && atomic_load(&cf->id) && atomic_exchange(&cf->used, false))
            continue;
        if (take(s, cf, was))
            return cf;
    }
    return NULL;
}

// Put what `from` holds into an empty chunk file, pinned. -EAGAIN: all are in use; -EEXIST: another thread
// was first.
static int
settle(struct chunk_store *s, uint64_t id, const struct chunk_file *from, struct husk *old,
       struct chunk_file **out)
{
    struct chunk_file *cf = NULL;
    uint32_t b = bucket_of(s, id);
    uint64_t was;
    int r = 0;

    pthread_mutex_lock(&s->lock);
    if (find(s, id))
        r = -EEXIST;
    else if ((cf = victim(s, &was)) == NULL)
        r = -EAGAIN;
    if (r == 0 && cf) {
        // It was unreachable since `take`; only a late pin-and-look may still count up and down.
        *old = gut(cf, was);
        memset((void *)cf->few, 0, sizeof cf->few);
        uint32_t learnt = atomic_exchange(&cf->learnt, 0);
        if (learnt > SLOT_ENTRIES)
            memset((void *)atomic_load(&cf->many), 0, (learnt - SLOT_ENTRIES) * sizeof *cf->few);
        cf->nblocks = s->nblocks;
        cf->file = from->file;
        cf->group = from->group;
        cf->slot = from->slot;
        cf->more = from->more;
        cf->seq = from->seq;
        cf->foreign = from->foreign;
        atomic_store(&cf->stale, false);
        atomic_store(&cf->wrote, false);
        atomic_store(&cf->used, true);
        cf->next = s->buckets[b];
        s->buckets[b] = cf;
        atomic_store(&cf->id, id);
        atomic_fetch_add(&cf->pins, 1 - PINS_CLOSED);
        atomic_store(&s->hints[b], cf);
        *out = cf;
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}

// All blocks of a chunk that got a new slot are to be summed.
static int
sums_due(struct chunk_store *s, struct chunk_file *cf, uint64_t id, uint64_t size)
{
    uint64_t blocks = (size + CHUNK_BLOCK_SIZE - 1) / CHUNK_BLOCK_SIZE;
    int r;

    if (blocks > s->nblocks)
        blocks = s->nblocks;
    if ((r = slot_back(s, cf, id, (uint32_t)blocks)) < 0)
        return r;
    for (uint32_t b = 0; b < blocks; b++)
        atomic_store(entry_word(cf, b), sum_pack(SUM_DIRTY, 0, 1, 0));
    return 0;
}

// The slot of a chunk whose data file is there is missing or damaged: mend it, or make another, whose entries
// say that sums are due.
static int
slot_rebuild(struct chunk_store *s, struct group *g, uint64_t id, int fd)
{
    char name[NAME_SIZE];
    struct chunk_file cf;
    struct stat st;
    int r = group_lock(s, g, id);

    if (r)
        return r;
    store_name(name, NAME_DATA, id);
    r = slot_check(s, g, id);
    if (r != -ENOENT && r != -EBADMSG)
        goto out;
    bool none = r == -ENOENT;
    if (!none && (r = slot_mend(s, g, id)) != -EBADMSG)
        goto out;
    // Deleting removes the name before the slot.
    if ((r = io_exists(s, name)) <= 0) {
        r = r ? r : -ENOENT;
        goto out;
    }
    if (fstat(fd, &st) != 0) {
        r = -errno;
        goto out;
    }
    slot_make(s, g, id, 1, st.st_nlink > 1 ? SLOT_SHARED : 0);
    slot_find(s, g, id, &cf);
    if ((r = sums_due(s, &cf, id, (uint64_t)st.st_size)) < 0)
        (void)slot_free(s, g, id); // the next who opens it tries again
    else if (none)
        store_event(
            s, CHUNK_EV_UNSURE, id, 0, 0,
            "the machine stopped before this chunk was synced or after it was deleted, or its sums were "
            "lost; "
            "what it now holds was taken as written, and its version is 1");
    else
        store_event(
            s, CHUNK_EV_SUM_LOST, id, 0, 0,
            "the sums of a chunk are damaged; its data can't be verified, and its version is 1 again; "
            "compare it with a copy, then scrub");
out:
    group_unlock(s, g);
    return r;
}

// Open the data file and find the slot, into *cf.
static int
file_open(struct chunk_store *s, uint64_t id, struct chunk_file *cf)
{
    bool ro = s->flags & CHUNK_RDONLY;
    char name[NAME_SIZE];
    struct group *g;
    struct stat st;
    int r, fd;

    store_name(name, NAME_DATA, id);
    // The slot's seq is read before the name is opened; another seq afterwards, and it may have meant two
    // files.
    if ((r = group_get(s, id / GROUP_CHUNKS, false, &g)) == -ENOENT) {
        // No sums: usually no chunk either.
        if ((r = io_exists(s, name)) <= 0)
            return r ? r : -ENOENT;
        r = group_get(s, id / GROUP_CHUNKS, true, &g);
    }
    if (r)
        return r;
    slot_find(s, g, id, cf);
    cf->seq = atomic_load(&cf->slot[SLOT_SEQ]);
    if ((fd = io_open(s, name, ro ? O_RDONLY : O_RDWR)) < 0)
        return fd;
    cf->file = io_own_stat(fd, &st);
    r = slot_check(s, g, id);
    if (r == -ENOENT || r == -EBADMSG) {
        if (!ro)
            return (r = slot_rebuild(s, g, id, fd)) ? r : -ESTALE;
        cf->foreign = true;
        cf->seq = atomic_load(&cf->slot[SLOT_SEQ]);
        return 0;
    }
    if (r)
        return r;
    uint64_t hot = atomic_load(&cf->slot[SLOT_HOT]);
    cf->foreign = ro && ((hot != 0 && hot != s->boot) || cf->seq & 1 || g->lost);
    // The link count is what tells of sharing; the flag saves asking for it, and may be lost with the
    // machine.
    if (!ro && st.st_nlink != 1)
        atomic_fetch_or(&cf->slot[SLOT_FLAGS], SLOT_SHARED);
    return atomic_load(&cf->slot[SLOT_SEQ]) == cf->seq ? 0 : -ESTALE;
}

static struct chunk_file *
pin_open(struct chunk_store *s, uint64_t id)
{
    pthread_mutex_lock(&s->lock);
    struct chunk_file *cf = find(s, id);
    if (cf) {
        // Under the lock nobody takes it.
        atomic_fetch_add(&cf->pins, 1);
        atomic_store_explicit(&cf->used, true, memory_order_relaxed);
        atomic_store(&s->hints[bucket_of(s, id)], cf);
    }
    pthread_mutex_unlock(&s->lock);
    return cf;
}

bool
cache_shrink(struct chunk_store *s)
{
    bool any = false;

    for (uint32_t i = 0; i < s->nfiles; i++) {
        struct husk h = {.file.fd = -1};
        uint64_t was = 0;

        pthread_mutex_lock(&s->lock);
        bool taken = i < s->begun && atomic_load(&s->files[i].id) && take(s, &s->files[i], &was);
        if (taken)
            h = gut(&s->files[i], was);
        bool last = i >= s->begun;
        pthread_mutex_unlock(&s->lock);
        if (last)
            break;
        any |= taken;
        bin(s, &h);
    }
    return group_shrink(s) || any;
}

static int
get_slow(struct chunk_store *s, uint64_t id, struct chunk_file **out)
{
    struct husk old = {.file.fd = -1}, mine;
    unsigned round = 0;
    int r = 0;

    if (id == 0)
        return -ENOENT;
    for (int i = 0; i < TRIES; i++) {
        if ((*out = pin_open(s, id)) != NULL)
            return 0;
        struct chunk_file fresh = {.file.fd = -1};
        if ((r = file_open(s, id, &fresh)) == 0) {
            while ((r = settle(s, id, &fresh, &old, out)) == -EAGAIN)
                io_nap(&round); // more calls at once than files may be open
            bin(s, &old);
            old = (struct husk){.file.fd = -1};
        }
        if (r == 0)
            return 0;
        mine = gut(&fresh, 0);
        bin(s, &mine);
        if (r != -ESTALE && r != -EEXIST)
            return r;
    }
    return -EBUSY;
}

int
cache_get(struct chunk_store *s, uint64_t id, struct chunk_file **out)
{
    struct chunk_file *cf = atomic_load_explicit(&s->hints[bucket_of(s, id)], memory_order_acquire);

    if (cf && atomic_load_explicit(&cf->id, memory_order_relaxed) == id && id) {
        if (atomic_fetch_add(&cf->pins, 1) >= 0 && atomic_load(&cf->id) == id &&
            !atomic_load_explicit(&cf->stale, memory_order_relaxed)) {
            if (!atomic_load_explicit(&cf->used, memory_order_relaxed))
                atomic_store_explicit(&cf->used, true, memory_order_relaxed);
            *out = cf;
            return 0;
        }
        (void)cache_put(s, cf, 0);
    }
    int r = get_slow(s, id, out);
    if (r)
        return r;
    cf = *out;
    uint64_t hot = atomic_load(&cf->slot[SLOT_HOT]);
    if (hot && hot != s->boot && !(s->flags & CHUNK_RDONLY)) {
        if ((r = sums_recover(s, cf)) == -ESTALE)
            r = 0; // who goes on with it will see
        if (r)
            return cache_put(s, cf, r);
    }
    return 0;
}

int
cache_put(struct chunk_store *s, struct chunk_file *cf, int result)
{
    if (result == -ESTALE)
        atomic_store(&cf->stale, true);
    if (atomic_fetch_sub(&cf->pins, 1) == 1 && atomic_load(&cf->stale)) {
        struct husk h = {.file.fd = -1};
        uint64_t was;

        pthread_mutex_lock(&s->lock);
        if (atomic_load(&cf->id) && atomic_load(&cf->stale) && take(s, cf, &was))
            h = gut(cf, was);
        pthread_mutex_unlock(&s->lock);
        bin(s, &h);
    }
    return result;
}

int
cache_add(struct chunk_store *s, uint64_t id, int fd, struct group *g)
{
    struct chunk_file fresh = {.file = io_own(fd)}, *cf;
    struct husk old = {.file.fd = -1};

    slot_find(s, g, id, &fresh);
    fresh.seq = atomic_load(&fresh.slot[SLOT_SEQ]);
    int r = settle(s, id, &fresh, &old, &cf);
    if (r) {
        old = gut(&fresh, 0);
        bin(s, &old);
        return r;
    }
    bin(s, &old);
    return cache_put(s, cf, 0);
}

void
cache_drop(struct chunk_store *s, uint64_t id)
{
    struct chunk_file *cf = pin_open(s, id);

    if (cf)
        (void)cache_put(s, cf, -ESTALE);
}

void
cache_close_all(struct chunk_store *s, bool tidy)
{
    for (uint32_t i = 0; i < s->begun; i++) {
        struct chunk_file *cf = &s->files[i];

        if (tidy && atomic_load(&cf->id) && atomic_load(&cf->wrote))
            sums_tidy(s, cf);
        io_disown(&cf->file);
        free((void *)atomic_load(&cf->many));
    }
    group_close_all(s);
    free(s->files);
    free(s->buckets);
    free(s->hints);
    s->files = NULL;
    s->buckets = NULL;
    s->hints = NULL;
    s->hand = s->begun = 0;
}
