// SPDX-License-Identifier: Apache-2.0
// Sum files: one for GROUP_CHUNKS chunks with neighbouring ids, mapped by all processes. A page of head, then
// a slot for each. One file for many chunks saves an inode, an open and a mapping for each small chunk.
//
// Always: a chunk whose data file has its name has a slot; the slot is made before that name and freed after
// it is gone, under the group lock. A page of the map is stored to only after it got its disk space by pwrite
// or fallocate (else SIGBUS on a full disk), and read from the disk once by pread (an unreadable page is then
// -EIO, not SIGBUS).
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "chunk/impl.h"

#define LAYOUT ((uint64_t)CHUNK_FORMAT << 48 | CHUNK_BLOCK_SIZE)
#define IDLE_GROUPS 8u

static uint32_t
words_check(const uint64_t *words, unsigned n)
{
    return sum_block(words, n * sizeof *words);
}

uint64_t
version_pack(uint64_t version)
{
    return version | (uint64_t)(sum_block(&version, sizeof version) & 0xffff) << 48;
}

int
version_unpack(uint64_t word, uint64_t *version)
{
    *version = word & CHUNK_VERSION_MAX;
    return version_pack(*version) == word ? 0 : -EBADMSG;
}

static uint64_t
slot_offset(const struct chunk_store *s, uint64_t id)
{
    return SUM_PAGE + id % GROUP_CHUNKS * s->slot_size;
}

word_t *
group_slot(struct chunk_store *s, struct group *g, uint64_t id)
{
    return (word_t *)(void *)(g->map + slot_offset(s, id));
}

uint32_t
slot_backed(const struct chunk_store *s, word_t *slot)
{
    uint64_t backed = atomic_load_explicit(&slot[SLOT_BACKED], memory_order_acquire);

    return backed < s->nblocks ? (uint32_t)backed : s->nblocks;
}

int
group_lock(struct chunk_store *s, struct group *g, uint64_t id)
{
    int r;

    pthread_mutex_lock(&s->group_mutex);
    unsigned round = 0;
    while ((r = io_lock(g->file.fd, F_WRLCK, 0, false)) == -EAGAIN && round < 30000)
        io_nap(&round);
    if (r == -EAGAIN) {
        store_event(
            s, CHUNK_EV_BLOCKED, id, 0, 0,
            "a process that uses the store does not go on (is it stopped?); end it or let it continue");
        r = -EBUSY;
    }
    if (r == 0 && atomic_load(group_word(g, GROUP_DEAD))) {
        struct stat st;

        if (fstat(g->file.fd, &st) != 0 || st.st_nlink == 0) {
            group_unlock(s, g);
            return -ESTALE;
        }
        // Who wanted to remove it was killed before he did.
        atomic_store(group_word(g, GROUP_DEAD), 0);
    }
    if (r)
        pthread_mutex_unlock(&s->group_mutex);
    return r;
}

void
group_unlock(struct chunk_store *s, struct group *g)
{
    (void)io_lock(g->file.fd, F_UNLCK, 0, false);
    pthread_mutex_unlock(&s->group_mutex);
}

static void
head_make(const struct chunk_store *s, uint64_t no, uint64_t head[GROUP_WORDS])
{
    memset(head, 0, GROUP_WORDS * sizeof *head);
    head[GROUP_MAGIC] = GROUP_MAGIC_VALUE;
    head[GROUP_NO] = no;
    head[GROUP_LAYOUT] = LAYOUT;
    head[GROUP_SLOT_SIZE] = s->slot_size;
    head[GROUP_CHECK] = words_check(head, GROUP_CHECK);
}

// 0: the head is right; -EBADMSG: it is not; -EPROTONOSUPPORT: of a newer format.
static int
head_check(struct chunk_store *s, int fd, uint64_t no, const struct stat *st)
{
    uint64_t head[GROUP_WORDS], want[GROUP_WORDS];
    ssize_t n = io_pread_full(s, fd, head, sizeof head, 0);

    if (n < 0)
        return (int)n;
    if (n < (ssize_t)sizeof head || head[GROUP_MAGIC] != GROUP_MAGIC_VALUE ||
        head[GROUP_CHECK] != words_check(head, GROUP_CHECK))
        return -EBADMSG;
    if (head[GROUP_LAYOUT] >> 48 > CHUNK_FORMAT)
        return -EPROTONOSUPPORT;
    head_make(s, no, want);
    return memcmp(head, want, GROUP_CHECK * sizeof *head) == 0 && (uint64_t)st->st_size >= s->sums_size
               ? 0
               : -EBADMSG;
}

// Which of the group's chunks there are, by their data files.
static uint64_t
used_by_name(struct chunk_store *s, uint64_t no)
{
    char name[NAME_SIZE];
    uint64_t used = 0;

    for (unsigned i = 0; i < GROUP_CHUNKS; i++) {
        store_name(name, NAME_DATA, no * GROUP_CHUNKS + i);
        if (io_exists(s, name) != 0) // when in doubt it is there
            used |= 1ull << i;
    }
    return used;
}

// Write the head of a new sum file, or of one whose head is damaged. Several processes may come here at once.
static int
head_write(struct chunk_store *s, int fd, uint64_t no)
{
    uint64_t head[GROUP_WORDS];
    struct stat st;
    unsigned round = 0;
    int r, error;

    pthread_mutex_lock(&s->group_mutex);
    while ((r = io_lock(fd, F_WRLCK, 0, false)) == -EAGAIN && round < 30000)
        io_nap(&round);
    if (r)
        goto out;
    if (fstat(fd, &st) != 0) {
        r = -errno;
        goto out_lock;
    }
    if ((r = head_check(s, fd, no, &st)) != -EBADMSG)
        goto out_lock; // another was first
    bool fresh = st.st_size == 0;
    if ((uint64_t)st.st_size < s->sums_size && (r = io_ftruncate(s, fd, s->sums_size)) < 0)
        goto out_lock;
    head_make(s, no, head);
    if (!fresh)
        head[GROUP_USED] = used_by_name(s, no);
    store_step(s, "group-head");
    r = io_pwrite_full(s, fd, head, sizeof head, 0, &error) == (ssize_t)sizeof head ? 0 : error;
    if (r == 0 && !fresh && head[GROUP_USED])
        store_event(s, CHUNK_EV_SUM_LOST, 0, 0, 0,
                    "the head of a sum file was damaged or cut off and was written again; scrub the store");
out_lock:
    (void)io_lock(fd, F_UNLCK, 0, false);
out:
    pthread_mutex_unlock(&s->group_mutex);
    return r;
}

static int
open_sums(struct chunk_store *s, uint64_t no, bool create)
{
    char name[NAME_SIZE], dir[NAME_SIZE];
    int mode = s->flags & CHUNK_RDONLY ? O_RDONLY : O_RDWR, fd;

    store_name(name, NAME_SUMS, no * GROUP_CHUNKS);
    if (!create)
        return io_open(s, name, mode);
    fd = io_open(s, name, mode | O_CREAT);
    if (fd != -ENOENT)
        return fd;
    store_name(dir, NAME_DIR, no * GROUP_CHUNKS);
    mode_t x = s->mode | (s->mode & 0444) >> 2;
    if (mkdirat(s->root.fd, dir, x) != 0 && errno != EEXIST)
        return -errno;
    return io_open(s, name, mode | O_CREAT);
}

// A map without a file, for a read-only store whose sums are missing: everything reads as NONE.
static int
map_nothing(struct chunk_store *s, struct group *g)
{
    void *map = mmap(NULL, s->sums_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED)
        return -errno;
    g->map = map;
    g->lost = true;
    for (unsigned i = 0; i < GROUP_CHUNKS; i++)
        atomic_store(group_slot(s, g, i) + SLOT_SEQ, 2);
    return 0;
}

// Open and map sum file no into *g. -ENOENT: there is none and !create.
static int
group_open(struct chunk_store *s, uint64_t no, bool create, struct group *g)
{
    bool ro = s->flags & CHUNK_RDONLY;
    struct stat st;
    int r, fd = open_sums(s, no, create && !ro);

    if (fd == -ENOENT && ro && create)
        return map_nothing(s, g);
    if (fd < 0)
        return fd;
    g->file = io_own(fd);
    r = fstat(fd, &st) == 0 ? head_check(s, fd, no, &st) : -errno;
    if (r == -EBADMSG && ro) {
        io_disown(&g->file);
        return map_nothing(s, g);
    }
    if (r == -EBADMSG)
        r = head_write(s, fd, no);
    if (r)
        goto out;
    void *map = mmap(NULL, s->sums_size, ro ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        r = -errno;
        goto out;
    }
    g->map = map;
out:
    if (r)
        io_disown(&g->file);
    return r;
}

void
group_close(struct chunk_store *s, struct group *g)
{
    if (g->map)
        munmap(g->map, s->sums_size);
    io_disown(&g->file);
    free(g);
}

int
group_get(struct chunk_store *s, uint64_t no, bool create, struct group **out)
{
    struct group *g, *other;
    int r;

    pthread_mutex_lock(&s->lock);
    for (g = s->groups; g; g = g->next) {
        if (g->no == no && (g->lost || !atomic_load(group_word(g, GROUP_DEAD)))) {
            g->refs++;
            break;
        }
    }
    pthread_mutex_unlock(&s->lock);
    if (g) {
        *out = g;
        return 0;
    }
    // Opened without the lock, because the group lock comes before it; of two who open the same, one goes on.
    if ((g = calloc(1, sizeof *g)) == NULL)
        return -ENOMEM;
    g->no = no;
    g->file.fd = -1;
    g->refs = 1;
    if ((r = group_open(s, no, create, g)) < 0) {
        free(g);
        return r;
    }
    pthread_mutex_lock(&s->lock);
    for (other = s->groups; other; other = other->next)
        if (other->no == no && !other->lost && other->file.ino == g->file.ino &&
            other->file.dev == g->file.dev)
            break;
    if (other) {
        other->refs++;
    } else {
        g->next = s->groups;
        s->groups = g;
    }
    pthread_mutex_unlock(&s->lock);
    if (other) {
        group_close(s, g);
        g = other;
    }
    *out = g;
    return 0;
}

void
group_put(struct chunk_store *s, struct group *g)
{
    unsigned idle = 0;
    struct group *gone = NULL;

    pthread_mutex_lock(&s->lock);
    g->refs--;
    for (struct group **p = &s->groups; *p;) {
        struct group *it = *p;
        bool dead = !it->lost && atomic_load(group_word(it, GROUP_DEAD));

        if (it->refs == 0 && (dead || ++idle > IDLE_GROUPS)) {
            *p = it->next;
            it->next = gone;
            gone = it;
        } else {
            p = &it->next;
        }
    }
    pthread_mutex_unlock(&s->lock);
    while (gone) {
        struct group *next = gone->next;

        group_close(s, gone);
        gone = next;
    }
}

int
slot_make(struct chunk_store *s, struct group *g, uint64_t id, uint64_t version, uint64_t flags)
{
    uint64_t page[SUM_PAGE / 8] = {0}, off = slot_offset(s, id), bit = 1ull << id % GROUP_CHUNKS;
    int error;

    atomic_fetch_or(group_word(g, GROUP_USED), bit);
    store_step(s, "slot-used");
    page[SLOT_MAGIC] = SLOT_MAGIC_VALUE;
    page[SLOT_ID] = id;
    page[SLOT_LAYOUT] = LAYOUT;
    page[SLOT_CHECK] = words_check(page, SLOT_CHECK);
    page[SLOT_VERSION] = version_pack(version);
    page[SLOT_SEQ] = 2;
    page[SLOT_HOT] = s->boot;
    page[SLOT_FLAGS] = flags;
    page[SLOT_BACKED] = FIRST_PAGE_ENTRIES < s->nblocks ? FIRST_PAGE_ENTRIES : s->nblocks;
    page[SLOT_WRITES] = SLOT_WRITES_SOME;
    if (io_pwrite_full(s, g->file.fd, page, sizeof page, off, &error) != (ssize_t)sizeof page)
        return error;
    store_step(s, "slot-made");
    return 0;
}

// Read pages of a slot that are about to be used through the map, so that one that the disk can't give is
// known here, where it is an error code and not a signal.
static int
touch_pages(struct chunk_store *s, struct group *g, uint64_t id)
{
    char buf[SUM_PAGE];

    for (size_t at = SUM_PAGE; at < s->slot_size; at += SUM_PAGE) {
        ssize_t n = io_pread_full(s, g->file.fd, buf, sizeof buf, slot_offset(s, id) + at);

        if (n < (ssize_t)sizeof buf)
            return n < 0 ? (int)n : -EBADMSG;
    }
    return 0;
}

int
slot_check(struct chunk_store *s, struct group *g, uint64_t id)
{
    uint64_t head[SLOT_WORDS], version;
    ssize_t n;

    if (g->lost)
        return 0;
    if ((n = io_pread_full(s, g->file.fd, head, sizeof head, slot_offset(s, id))) < 0)
        return (int)n;
    if (n < (ssize_t)sizeof head)
        return -EBADMSG;
    if (head[SLOT_MAGIC] == 0 && head[SLOT_ID] == 0)
        return -ENOENT;
    if (head[SLOT_MAGIC] != SLOT_MAGIC_VALUE || head[SLOT_CHECK] != words_check(head, SLOT_CHECK) ||
        head[SLOT_ID] != id)
        return -EBADMSG;
    if (head[SLOT_LAYOUT] >> 48 > CHUNK_FORMAT)
        return -EPROTONOSUPPORT;
    if (head[SLOT_LAYOUT] != LAYOUT || version_unpack(head[SLOT_VERSION], &version) != 0)
        return -EBADMSG;
    return head[SLOT_BACKED] > FIRST_PAGE_ENTRIES ? touch_pages(s, g, id) : 0;
}

// Give the disk space of slots without a chunk back.
static void
punch_free(struct chunk_store *s, struct group *g, uint64_t used)
{
    for (unsigned i = 0, n; i < GROUP_CHUNKS; i += n) {
        for (n = 0; i + n < GROUP_CHUNKS && !(used >> (i + n) & 1); n++)
            ;
        // Without holes in the file system, the slots keep their space until the group goes.
        if (n)
            (void)io_fallocate(s, g->file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, slot_offset(s, i),
                               n * s->slot_size);
        else
            n = 1;
    }
}

int
slot_free(struct chunk_store *s, struct group *g, uint64_t id)
{
    uint64_t bit = 1ull << id % GROUP_CHUNKS, used = atomic_load(group_word(g, GROUP_USED)) & ~bit;
    char name[NAME_SIZE];
    word_t *slot = group_slot(s, g, id);

    if (atomic_load(&slot[SLOT_ID]) == id) {
        // First the seq, so that who has the chunk open looks for its name again, and does not find it.
        atomic_fetch_add(&slot[SLOT_SEQ], 2);
        atomic_store(&slot[SLOT_BARRIER], 0);
        atomic_store(&slot[SLOT_MAGIC], 0);
        atomic_store(&slot[SLOT_ID], 0);
    }
    store_step(s, "slot-cleared");
    if (used == 0) {
        // The last of its group: the file goes as a whole.
        atomic_store(group_word(g, GROUP_DEAD), 1);
        store_step(s, "group-dead");
        store_name(name, NAME_SUMS, id);
        return io_unlink(s, name);
    }
    atomic_store(group_word(g, GROUP_USED), used);
    // Not for each: making a hole costs more than all the rest of deleting a chunk.
    if (__builtin_popcountll(used) % 8 == 0)
        punch_free(s, g, used);
    return 0;
}

int
slot_back(struct chunk_store *s, struct group *g, word_t *slot, uint64_t id, uint32_t nblocks)
{
    static const char zeros[SUM_PAGE];
    int error;

    if (nblocks <= slot_backed(s, slot))
        return 0;
    // Written, and not reserved: what an earlier chunk that did not come to be left here must go.
    for (size_t at = SUM_PAGE; at < s->slot_size; at += SUM_PAGE)
        if (io_pwrite_full(s, g->file.fd, zeros, sizeof zeros, slot_offset(s, id) + at, &error) !=
            (ssize_t)sizeof zeros)
            return error;
    atomic_store_explicit(&slot[SLOT_BACKED], s->nblocks, memory_order_release);
    return 0;
}
