// SPDX-License-Identifier: Apache-2.0
// A process that dies at any named step, or anywhere, leaves a store in which each operation was done wholly
// or not at all (of a write, any part), in which nothing counts as damaged, and with which others go on at
// once.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "chunk/impl.h"
#include "tests/unit/ck.h"

#define BLOCKS 20u
#define SIZE (BLOCKS * CK_BLOCK)
#define CHUNKS 7u // with the ids of ids[]

enum kind {
    CREATE,
    WRITE,
    TRUNCATE,
    PUNCH,
    CLONE,
    CLONE_LIVE, // while somebody writes through a descriptor
    DELETE,
    SYNC,
    POKE, // write through a descriptor
    VERSION,
    REOPEN,
    REBOOT, // as if the machine had been started anew
    SCRUB,
};

// Something of everything, so that each step is passed.
static const struct op {
    enum kind kind;
    unsigned id;
    uint64_t a, b; // offset and length, or size, or the other chunk
} ops[] = {
    {CREATE, 1, 0, 0},
    {WRITE, 1, 0, 5 * CK_BLOCK + 100},
    {SYNC, 1, 0, 0},
    {WRITE, 1, 1000, 2000},
    {WRITE, 1, 17 * CK_BLOCK, 3 * CK_BLOCK},
    {CREATE, 65, 0, 0},
    {WRITE, 65, 0, 4096},
    {SYNC, 65, 0, 0},
    {CLONE, 1, 2, 0},
    {WRITE, 2, 10, 70000},
    {TRUNCATE, 1, 3 * CK_BLOCK + 7, 0},
    {CLONE, 2, 3, 0},
    {TRUNCATE, 3, CK_BLOCK + 5, 0},
    {PUNCH, 2, 100, 2 * CK_BLOCK},
    {SYNC, 2, 0, 0},
    {CREATE, 127, 0, 0},
    {DELETE, 127, 0, 0},
    {DELETE, 65, 0, 0},
    {WRITE, 1, 3 * CK_BLOCK, 100},
    {SYNC, 1, 0, 0},
    {REOPEN, 0, 0, 0},
    {WRITE, 1, 2 * CK_BLOCK, 2 * CK_BLOCK},
    {CLONE_LIVE, 1, 4, 0},
    {POKE, 1, 5000, 90000},
    {VERSION, 1, 1, 9},
    {SYNC, 1, 0, 0},
    {WRITE, 4, 100, 100},
    {REBOOT, 4, 0, 0},
    {WRITE, 4, 7, 7},
    {TRUNCATE, 4, 9 * CK_BLOCK, 0},
    {SCRUB, 0, 0, 0},
    {DELETE, 3, 0, 0},
    {REOPEN, 0, 0, 0},
};
#define OPS (sizeof(ops) / sizeof(*ops))

struct chunk {
    bool is;
    uint64_t size, version;
    unsigned char bytes[SIZE];
};

static const unsigned ids[CHUNKS] = {0, 1, 2, 3, 4, 65, 127};

static struct chunk *
of(struct chunk *c, uint64_t id)
{
    for (unsigned i = 1; i < CHUNKS; i++)
        if (ids[i] == id)
            return &c[i];
    return c;
}

static const char *const steps[] = {
    "group-head",    "group-dead", "slot-filled",  "slot-made",     "slot-cleared", "created",
    "unlinked",      "exclusive",  "hot-pending",  "hot",           "entered",      "written",
    "left",          "summed",     "sync-summed",  "sync-data",     "sync-done",    "cut-dirty",
    "cut-done",      "break-tmp",  "break-copied", "break-renamed", "break-alone",  "clone-sums",
    "clone-flagged", "clone-tmp",  "cloned",       "recovered",
};
#define STEPS (sizeof(steps) / sizeof(*steps))
#define SEEN_MOST 64

static struct shared {
    _Atomic unsigned done;        // operations that returned
    _Atomic unsigned seen[STEPS]; // passed
    char why[256];
} * sh;
static int die_at = -1;
static unsigned die_count;

static void
step(void *arg, const char *name)
{
    for (unsigned i = 0; i < STEPS; i++) {
        if (strcmp(name, steps[i]) != 0)
            continue;
        if (atomic_fetch_add(&sh->seen[i], 1) + 1 == die_count && (int)i == die_at)
            raise(SIGKILL);
        return;
    }
    snprintf(sh->why, sizeof(sh->why), "a step that is not in the list: %s", name);
}

static const struct chunk_open_options options = {.step = step, .max_open = 3, .io = &ck_lazy};

static void
fill(unsigned char *bytes, unsigned i)
{
    ck_fill(bytes, ops[i].b, ops[i].id, ops[i].a, i);
}

static void
apply(struct chunk *c, unsigned i)
{
    const struct op *op = &ops[i];
    struct chunk *it = of(c, op->id);

    switch (op->kind) {
    case CREATE:
        memset(it, 0, sizeof(*it));
        it->is = true;
        it->version = 1;
        break;
    case WRITE:
    case POKE:
        fill(it->bytes + op->a, i);
        if (it->size < op->a + op->b)
            it->size = op->a + op->b;
        break;
    case TRUNCATE:
        if (op->a < it->size)
            memset(it->bytes + op->a, 0, it->size - op->a);
        it->size = op->a;
        break;
    case PUNCH:
        memset(it->bytes + op->a, 0, op->b);
        break;
    case CLONE:
    case CLONE_LIVE:
        *of(c, op->a) = *it;
        break;
    case DELETE:
        it->is = false;
        break;
    case VERSION:
        it->version = op->b;
        break;
    default:
        break;
    }
}

// All chunks of this store were being written when the machine stopped.
static void
reboot(uint64_t id)
{
    uint64_t hot = 4711;
    char path[PATH_MAX];
    int fd;

    ck_path(path, id, true);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || pwrite(fd, &hot, 8, SUM_PAGE + (off_t)(id % GROUP_CHUNKS * SLOT_SIZE + SLOT_HOT * 8)) != 8)
        abort();
    close(fd);
}

static int
do_fd(struct chunk_store *s, const struct op *op, unsigned i, unsigned char *bytes)
{
    struct chunk_fd cfd;
    int r = chunk_fd_open(s, op->id, O_RDWR, &cfd);

    if (r < 0 || (r = chunk_fd_begin_write(s, &cfd, op->a, op->kind == POKE ? op->b : CK_BLOCK)) < 0)
        return r;
    if (op->kind == POKE) {
        fill(bytes, i);
        r = pwrite(cfd.fd, bytes, op->b, (off_t)op->a) == (ssize_t)op->b ? 0 : -errno;
    } else {
        r = chunk_clone(s, op->id, op->a);
    }
    chunk_fd_close(&cfd);
    return r;
}

static int
operate(struct chunk_store **s, unsigned i)
{
    static unsigned char bytes[SIZE];
    const struct op *op = &ops[i];

    switch (op->kind) {
    case CREATE:
        return chunk_create(*s, op->id);
    case WRITE:
        fill(bytes, i);
        ssize_t n = chunk_write(*s, op->id, bytes, op->b, op->a);
        return n < 0 ? (int)n : n == (ssize_t)op->b ? 0 : -ENOSPC;
    case TRUNCATE:
        return chunk_truncate(*s, op->id, op->a);
    case PUNCH:
        return chunk_punch(*s, op->id, op->a, op->b);
    case CLONE:
        return chunk_clone(*s, op->id, op->a);
    case CLONE_LIVE:
    case POKE:
        return do_fd(*s, op, i, bytes);
    case DELETE:
        return chunk_delete(*s, op->id);
    case SYNC:
        return chunk_sync(*s, op->id);
    case VERSION:
        return chunk_set_version(*s, op->id, op->a, op->b);
    case REOPEN:
    case REBOOT:
        chunk_store_close(*s);
        if (op->kind == REBOOT)
            reboot(op->id);
        return chunk_store_open(ck_dir, 0, &options, s);
    case SCRUB:
        return chunk_scrub(*s, 0, NULL);
    }
    return -EINVAL;
}

static int
run(void)
{
    struct chunk_store *s;
    int r = chunk_store_open(ck_dir, 0, &options, &s);

    for (unsigned i = 0; i < OPS && r == 0; i++) {
        if ((r = operate(&s, i)) < 0)
            snprintf(sh->why, sizeof(sh->why), "operation %u: %s", i, strerror(-r));
        else
            atomic_store(&sh->done, i + 1);
    }
    if (r == 0)
        chunk_store_close(s);
    return r != 0;
}

static struct chunk *before, *after;
static unsigned char *got;

static void
expect_between(struct chunk_store *s, unsigned id)
{
    const struct chunk *a = of(before, id), *b = of(after, id);
    ssize_t n = chunk_read(s, id, got, SIZE + 1, 0);
    struct chunk_info info;

    if (n == -ENOENT) {
        assert_true(!a->is || !b->is);
        return;
    }
    if (n < 0)
        fail_msg("chunk %u: %s", id, strerror((int)-n));
    assert_true(a->is || b->is);
    if (!a->is)
        a = b;
    if (!b->is)
        b = a;
    uint64_t least = a->size < b->size ? a->size : b->size, most = a->size > b->size ? a->size : b->size;
    if ((uint64_t)n < least || (uint64_t)n > most)
        fail_msg("chunk %u has %zd bytes", id, n);
    for (ssize_t i = 0; i < n; i++)
        if (got[i] != a->bytes[i] && got[i] != b->bytes[i])
            fail_msg("byte %zd of chunk %u is %02x, neither %02x nor %02x", i, id, got[i], a->bytes[i],
                     b->bytes[i]);
    assert_int_equal(chunk_stat(s, id, &info), 0);
    assert_true(info.version == a->version || info.version == b->version);
}

static void
expect_nothing_told(void)
{
    assert_int_equal(ck_heard.count[CHUNK_EV_DAMAGE], 0);
    assert_int_equal(ck_heard.count[CHUNK_EV_SUM_LOST], 0);
    assert_int_equal(ck_heard.count[CHUNK_EV_UNSURE], 0);
    assert_int_equal(ck_heard.count[CHUNK_EV_BLOCKED], 0);
}

// What a scrub leaves: no temporary file.
static void
expect_tidy(void)
{
    char command[PATH_MAX + 100];

    snprintf(command, sizeof(command), "test -z \"$(find '%.4000s' -name '*.tmp')\"", ck_dir);
    assert_int_equal(system(command), 0);
}

static void
look_after(void)
{
    unsigned done = atomic_load(&sh->done);
    struct chunk_store *s;

    if (sh->why[0])
        fail_msg("%s", sh->why);
    memset(before, 0, CHUNKS * sizeof(*before));
    for (unsigned i = 0; i < done; i++)
        apply(before, i);
    memcpy(after, before, CHUNKS * sizeof(*before));
    if (done < OPS)
        apply(after, done);
    ck_deaf();
    s = ck_open(CHUNK_RDONLY, NULL);
    for (unsigned i = 1; i < CHUNKS; i++)
        if (before[i].is || after[i].is)
            expect_between(s, ids[i]);
    chunk_store_close(s);
    s = ck_open(0, NULL);
    for (unsigned i = 1; i < CHUNKS; i++)
        if (before[i].is || after[i].is)
            expect_between(s, ids[i]);
    assert_int_equal(ck_scrub(s), 0);
    expect_nothing_told();
    expect_tidy();
    // The rest of the work, the interrupted operation first.
    for (unsigned i = done; i < OPS; i++) {
        int r = operate(&s, i);

        if (r < 0 && !(i == done && (r == -EEXIST || r == -ENOENT || r == -EAGAIN)))
            fail_msg("operation %u afterwards: %s", i, strerror(-r));
        if (i > done)
            apply(after, i);
    }
    memcpy(before, after, CHUNKS * sizeof(*before));
    for (unsigned i = 1; i < CHUNKS; i++)
        if (after[i].is)
            expect_between(s, ids[i]);
    assert_int_equal(ck_scrub(s), 0);
    chunk_store_close(s);
    expect_nothing_told();
}

static int
set_up(void **state)
{
    before = calloc(CHUNKS, sizeof(*before));
    after = calloc(CHUNKS, sizeof(*after));
    got = malloc(SIZE + 1);
    sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(before && after && got && sh != MAP_FAILED);
    return 0;
}

static void
begin(int at, unsigned count)
{
    memset(sh, 0, sizeof(*sh));
    die_at = at;
    die_count = count;
    ck_make(SIZE);
}

// Run it in a process of its own; the status it ended with. `us`: kill it then.
static int
run_in_child(long us)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(run());
    assert_true(pid > 0);
    if (us >= 0) {
        struct timespec ts = {.tv_nsec = us * 1000};

        nanosleep(&ts, NULL);
        kill(pid, SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    die_at = -1;
    return status;
}

static void
test_steps(void **state)
{
    time_t end = time(NULL) + 20;
    unsigned seen[STEPS], deaths = 0;

    begin(-1, 0);
    assert_int_equal(run_in_child(-1), 0);
    look_after();
    ck_remove();
    for (unsigned i = 0; i < STEPS; i++) {
        seen[i] = atomic_load(&sh->seen[i]);
        if (!seen[i])
            fail_msg("nothing passes the step %s", steps[i]);
    }
    for (unsigned i = 0; i < STEPS; i++) {
        // The first and some more, as time allows.
        unsigned stride = seen[i] > 3 ? seen[i] / 3 : 1;

        for (unsigned k = 1; k <= seen[i] && (k == 1 || time(NULL) < end); k += stride) {
            begin((int)i, k);
            int status = run_in_child(-1);
            if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
                fail_msg("step %s, %u: ended with %x, %s", steps[i], k, status, sh->why);
            deaths++;
            if (getenv("ZIO_TEST_VERBOSE"))
                fprintf(stderr, "# %s %u: in operation %u\n", steps[i], k, sh->done);
            look_after();
            ck_remove();
        }
    }
    assert_true(deaths >= STEPS);
}

static void
test_random(void **state)
{
    time_t end = time(NULL) + 15;
    struct timespec a, b;

    begin(-1, 0);
    clock_gettime(CLOCK_MONOTONIC, &a);
    assert_int_equal(run_in_child(-1), 0);
    clock_gettime(CLOCK_MONOTONIC, &b);
    ck_remove();
    uint32_t us = (uint32_t)((b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000);
    for (unsigned k = 0; k < 30 && (k < 5 || time(NULL) < end); k++) {
        begin(-1, 0);
        (void)run_in_child(unit_below(us < 900000 ? us : 900000));
        look_after();
        ck_remove();
    }
}

// A process dies with the chunk for itself, and leaves a fork child that never uses the store but has all its
// descriptors, and with them its locks. Others go on.
static void
test_heir(void **state)
{
    struct chunk_store *s;
    int pipes[2], status;
    pid_t pid, heir;

    begin(7, 1); // in its first "exclusive"
    assert_int_equal(pipe(pipes), 0);
    if ((pid = fork()) == 0) {
        s = ck_open(0, &options);
        if (chunk_create(s, 1) != 0 || (heir = fork()) < 0)
            _exit(1);
        if (heir == 0) {
            char c;

            close(pipes[1]);
            _exit(read(pipes[0], &c, 1) != 0);
        }
        if (write(pipes[1], &heir, sizeof(heir)) < 0)
            _exit(1);
        (void)chunk_truncate(s, 1, 100);
        _exit(1);
    }
    // The heir's number, before it could read it itself.
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    s = ck_open(0, NULL);
    assert_int_equal(chunk_truncate(s, 1, 200), 0);
    assert_int_equal(chunk_write(s, 1, "x", 1, 300), 1);
    assert_int_equal(chunk_create(s, 2), 0);
    chunk_store_close(s);
    expect_nothing_told();
    close(pipes[0]);
    close(pipes[1]); // ends the heir
    ck_remove();
}

static unsigned dir_syncs;

static int
count_fsync(void *arg, int fd)
{
    struct stat st;

    dir_syncs += fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
    return 0;
}

static int
no_clone(void *arg, int dst, int src)
{
    errno = EOPNOTSUPP;
    return -1;
}

// A process dies that has just given a chunk a file of its own. Who writes to that and syncs it takes the new
// name to the disk as well.
static void
test_new_name(void **state)
{
    struct chunk_io io = ck_lazy;
    struct chunk_open_options opt = options;
    struct chunk_store *s;
    int status;
    pid_t pid;

    io.fsync = count_fsync;
    io.clone = no_clone;
    opt.io = &io;
    opt.names = CHUNK_NAMES_APART;
    begin(21, 1); // "break-renamed"
    assert_string_equal(steps[21], "break-renamed");
    if ((pid = fork()) == 0) {
        s = ck_open(0, &opt);
        if (chunk_create(s, 1) != 0 || chunk_write(s, 1, "one", 3, 0) != 3 || chunk_clone(s, 1, 2) != 0 ||
            chunk_sync(s, 1) != 0 || chunk_sync(s, 2) != 0)
            _exit(1);
        (void)chunk_write(s, 2, "two", 3, 0);
        _exit(2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    s = ck_open(0, &opt);
    assert_int_equal(chunk_write(s, 2, "two", 3, 0), 3);
    dir_syncs = 0;
    assert_int_equal(chunk_sync(s, 2), 0);
    assert_true(dir_syncs > 0);
    chunk_store_close(s);
    expect_nothing_told();
    ck_remove();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_heir),
        cmocka_unit_test(test_new_name),
    };

    unit_seed(20251126);
    return cmocka_run_group_tests(tests, set_up, NULL);
}
