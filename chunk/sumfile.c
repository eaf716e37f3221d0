// SPDX-License-Identifier: Apache-2.0
// Sum files: one for GROUP_CHUNKS chunks with neighbouring ids, mapped by all processes. A page of head, a
// slot for each chunk (slot.c), and further back, for each, room for the entries of a large one. One file for
// many chunks saves an inode, an open and a mapping for each small chunk, and a page for most.
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

int
group_lock(struct chunk_store *s, struct group *g, uint64_t id)
{
    struct stat st;
    int r;

    pthread_mutex_lock(&s->group_mutex);
    r = owner_take(s, group_word(g, GROUP_OWNER), id, true, gate_deadline());
    if (r) {
        pthread_mutex_unlock(&s->group_mutex);
        return r;
    }
    if (atomic_load(group_word(g, GROUP_DEAD))) {
        if (fstat(g->file.fd, &st) != 0 || st.st_nlink == 0) {
            group_unlock(s, g);
            return -ESTALE;
        }
        // Who wanted to remove it was killed before he did.
        atomic_store(group_word(g, GROUP_DEAD), 0);
    }
    return 0;
}

void
group_unlock(struct chunk_store *s, struct group *g)
{
    owner_drop(s, group_word(g, GROUP_OWNER));
    pthread_mutex_unlock(&s->group_mutex);
}

// After a write-back that failed, the kernel takes the pages for clean. Storing to them makes them due again,
// so that the next flush, whoever asks for it and for whichever chunk, does not succeed without them.
static void
make_due(struct chunk_store *s, void *arg)
{
    struct group *g = arg;

    for (size_t at = 0; at < HEAD_SIZE; at += SUM_PAGE)
        (void)atomic_fetch_or((word_t *)(void *)(g->map + at), 0);
    for (uint64_t i = 0; i < GROUP_CHUNKS; i++) {
        struct chunk_file cf;

        slot_find(s, g, i, &cf);
        if (!atomic_load(&cf.slot[SLOT_MAGIC]) || slot_backed(s, cf.slot) <= SLOT_ENTRIES)
            continue;
        for (size_t at = 0; at < s->more_size; at += SUM_PAGE)
            (void)atomic_fetch_or(cf.more + at / 8, 0);
    }
}

int
group_flush(struct chunk_store *s, struct group *g)
{
    return io_flush(s, &g->flush, g->file.fd, NULL, make_due, g);
}

static void
head_make(const struct chunk_store *s, uint64_t no, uint64_t head[GROUP_WORDS])
{
    memset(head, 0, GROUP_WORDS * sizeof *head);
    head[GROUP_MAGIC] = GROUP_MAGIC_VALUE;
    head[GROUP_NO] = no;
    head[GROUP_LAYOUT] = LAYOUT;
    head[GROUP_BLOCKS] = s->nblocks;
    head[GROUP_CHECK] = sum_block(head, GROUP_CHECK * sizeof *head);
}

// 0: the head is right; -EBADMSG: it is not; -EPROTONOSUPPORT: of a newer format. All that is used through
// the map is read here. *boot: in which the disk space was last looked after.
static int
head_check(struct chunk_store *s, int fd, uint64_t no, const struct stat *st, uint64_t *boot)
{
    uint64_t *head = store_scratch(s), want[GROUP_WORDS];
    int r = -EBADMSG;

    *boot = 0;
    if (!head)
        return -ENOMEM;
    ssize_t n = io_pread_full(s, fd, head, HEAD_SIZE, 0);
    if (n < 0)
        r = (int)n;
    if (n < (ssize_t)HEAD_SIZE || head[GROUP_MAGIC] != GROUP_MAGIC_VALUE ||
        head[GROUP_CHECK] != sum_block(head, GROUP_CHECK * sizeof *head))
        goto out;
    *boot = head[GROUP_BOOT];
    head_make(s, no, want);
    if (head[GROUP_LAYOUT] >> 48 > CHUNK_FORMAT)
        r = -EPROTONOSUPPORT;
    else if (memcmp(head, want, (GROUP_CHECK + 1) * sizeof *head) == 0 &&
             (uint64_t)st->st_size >= s->sums_size)
        r = 0;
out:
    store_unscratch(s, head);
    return r;
}

bool
group_used(struct chunk_store *s, uint64_t no)
{
    char name[NAME_SIZE];

    for (unsigned i = 0; i < GROUP_CHUNKS; i++) {
        store_name(name, NAME_DATA, no * GROUP_CHUNKS + i);
        if (io_exists(s, name) != 0) // when in doubt it is there
            return true;
    }
    return false;
}

// Write the words of the head that don't change, and see to it that all of what is always used has its disk
// space.
static int
head_write(struct chunk_store *s, int fd, uint64_t no, bool fresh)
{
    static const char zeros[HEAD_SIZE];
    uint64_t head[GROUP_WORDS];
    int r = 0, error;

    // Set first, so that no process ever maps what it does not have.
    if ((r = io_ftruncate(s, fd, s->sums_size)) < 0)
        return r;
    if (fresh)
        r = io_pwrite_full(s, fd, zeros, sizeof zeros, 0, &error) == (ssize_t)sizeof zeros ? 0 : error;
    else if ((r = io_fallocate(s, fd, FALLOC_FL_KEEP_SIZE, 0, HEAD_SIZE)) == -EOPNOTSUPP)
        r = 0;
    if (r)
        return r;
    head_make(s, no, head);
    head[GROUP_BOOT] = s->boot;
    store_step(s, "group-head");
    if (fresh)
        return io_pwrite_full(s, fd, head, sizeof head, 0, &error) == (ssize_t)sizeof head ? 0 : error;
    size_t constant = (GROUP_CHECK + 1) * sizeof *head;
    return io_pwrite_full(s, fd, head, constant, 0, &error) == (ssize_t)constant ? 0 : error;
}

// The head is new, damaged, or not looked after in this boot. Several processes may come here at once.
static int
head_mend(struct chunk_store *s, int fd, uint64_t no)
{
    uint64_t boot;
    struct stat st;
    unsigned round = 0;
    int r;

    pthread_mutex_lock(&s->group_mutex);
    while ((r = io_lock(fd, F_WRLCK, 0)) == -EAGAIN && round < 30000)
        io_nap(&round);
    if (r)
        goto out;
    if (fstat(fd, &st) != 0) {
        r = -errno;
        goto out_lock;
    }
    r = head_check(s, fd, no, &st, &boot);
    if (r == 0 && boot != s->boot) {
        // After a crash of the machine, pages of it may have stayed without disk space.
        r = io_fallocate(s, fd, FALLOC_FL_KEEP_SIZE, 0, HEAD_SIZE);
        r = r == -EOPNOTSUPP ? 0 : r;
    } else if (r == -EBADMSG) {
        bool fresh = st.st_size == 0, told = !fresh && group_used(s, no);

        r = head_write(s, fd, no, fresh);
        if (r == 0 && told)
            store_event(s, CHUNK_EV_REPAIRED, no * GROUP_CHUNKS, 0, 0,
                        "the head of a sum file was damaged or cut off and was written again");
    }
out_lock:
    (void)io_lock(fd, F_UNLCK, 0);
out:
    pthread_mutex_unlock(&s->group_mutex);
    return r == -EAGAIN ? -EBUSY : r;
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
    if (mkdirat(s->root.fd, dir, x) != 0) {
        if (errno != EEXIST)
            return -errno;
    } else if (s->mode & 066) {
        (void)fchmodat(s->root.fd, dir, x, 0); // whatever the umask is
    }
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
    for (unsigned i = 0; i < GROUP_CHUNKS; i++) {
        struct chunk_file cf;

        slot_find(s, g, i, &cf);
        atomic_store(&cf.slot[SLOT_SEQ], 2);
        atomic_store(&cf.slot[SLOT_HOT], s->boot);
    }
    return 0;
}

// Open and map sum file no into *g. -ENOENT: there is none and !create.
static int
group_open(struct chunk_store *s, uint64_t no, bool create, struct group *g)
{
    bool ro = s->flags & CHUNK_RDONLY;
    uint64_t boot;
    struct stat st;
    int r, fd = open_sums(s, no, create && !ro);

    if (fd == -ENOENT && ro && create)
        return map_nothing(s, g);
    if (fd < 0)
        return fd;
    g->file = io_own(fd);
    r = fstat(fd, &st) == 0 ? head_check(s, fd, no, &st, &boot) : -errno;
    if (r == -EBADMSG && ro) {
        io_disown(&g->file);
        return map_nothing(s, g);
    }
    bool mend = !ro && (r == -EBADMSG || (r == 0 && boot != s->boot));
    if (mend)
        r = head_mend(s, fd, no);
    if (r)
        goto out;
    void *map = mmap(NULL, s->sums_size, ro ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        r = -errno;
        goto out;
    }
    g->map = map;
    if (mend)
        atomic_store(group_word(g, GROUP_BOOT), s->boot);
out:
    if (r)
        io_disown(&g->file);
    return r;
}

static void
group_close(struct chunk_store *s, struct group *g)
{
    if (g->map)
        munmap(g->map, s->sums_size);
    io_disown(&g->file);
    pthread_mutex_destroy(&g->flush.mutex);
    free(g);
}

static struct group **
bucket_of(struct chunk_store *s, uint64_t no)
{
    return &s->groups[no % GROUP_BUCKETS];
}

static bool
group_dead(struct group *g)
{
    return !g->lost && atomic_load(group_word(g, GROUP_DEAD));
}

// One more who uses it. store->lock.
static void
hold(struct chunk_store *s, struct group *g)
{
    if (g->refs++ == 0) {
        TAILQ_REMOVE(&s->idle, g, idle);
        s->nidle--;
    }
}

// Off the list of those nobody uses, to be closed. store->lock.
static void
unlist(struct chunk_store *s, struct group *g)
{
    struct group **p = bucket_of(s, g->no);

    while (*p != g)
        p = &(*p)->next;
    *p = g->next;
    TAILQ_REMOVE(&s->idle, g, idle);
    s->nidle--;
}

int
group_get(struct chunk_store *s, uint64_t no, bool create, struct group **out)
{
    struct group *g, *other;
    int r;

    pthread_mutex_lock(&s->lock);
    for (g = *bucket_of(s, no); g && (g->no != no || group_dead(g));)
        g = g->next;
    if (g)
        hold(s, g);
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
    pthread_mutex_init(&g->flush.mutex, NULL);
    if ((r = group_open(s, no, create, g)) < 0) {
        group_close(s, g);
        return r;
    }
    pthread_mutex_lock(&s->lock);
    for (other = *bucket_of(s, no); other; other = other->next)
        if (other->no == no && !other->lost && other->file.ino == g->file.ino &&
            other->file.dev == g->file.dev)
            break;
    if (other) {
        hold(s, other);
    } else {
        g->next = *bucket_of(s, no);
        *bucket_of(s, no) = g;
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
    struct group *gone = NULL;

    pthread_mutex_lock(&s->lock);
    if (--g->refs == 0) {
        TAILQ_INSERT_TAIL(&s->idle, g, idle);
        if (++s->nidle > s->max_idle)
            gone = TAILQ_FIRST(&s->idle);
        else if (group_dead(g))
            gone = g;
        if (gone)
            unlist(s, gone);
    }
    pthread_mutex_unlock(&s->lock);
    if (gone)
        group_close(s, gone);
}

bool
group_shrink(struct chunk_store *s)
{
    struct group *g;
    bool any = false;

    for (;;) {
        pthread_mutex_lock(&s->lock);
        if ((g = TAILQ_FIRST(&s->idle)) != NULL)
            unlist(s, g);
        pthread_mutex_unlock(&s->lock);
        if (!g)
            return any;
        group_close(s, g);
        any = true;
    }
}

void
group_close_all(struct chunk_store *s)
{
    for (unsigned i = 0; i < GROUP_BUCKETS; i++) {
        while (s->groups[i]) {
            struct group *next = s->groups[i]->next;

            group_close(s, s->groups[i]);
            s->groups[i] = next;
        }
    }
    TAILQ_INIT(&s->idle);
    s->nidle = 0;
}
