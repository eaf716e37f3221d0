// SPDX-License-Identifier: Apache-2.0
// A process that works on a volume is killed with SIGKILL at random moments, hundreds of times; half of the
// time another has the volume open meanwhile. Afterwards: what a call had acknowledged is there, an append is
// there wholly or not at all, a file that was put in another's place is one of both, and the check finds
// nothing but chunks that were never committed, which it deletes.
#include <linux/falloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/unit/fc.h"

enum { ROUNDS = 250, LOGS = 3, RECORD = 5000, SWAP = 3 * FC_CHUNK / 2 };

// What the child has done, as far as it was told.
static struct {
    _Atomic uint64_t ops;
    _Atomic uint64_t records[LOGS]; // appended and acknowledged
    _Atomic uint64_t swapped;       // the generation that was put in place
    _Atomic int failed;             // line of a call that failed
} * told;

static uint64_t
word_at(uint64_t kind, uint64_t gen, uint64_t pos)
{
    return (kind << 56 ^ gen << 24 ^ pos) * 0x9e3779b97f4a7c15ULL;
}

static void
fill(uint8_t *buf, size_t len, uint64_t kind, uint64_t gen)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = word_at(kind, gen, i);

        memcpy(buf + i, &v, len - i < 8 ? len - i : 8);
    }
}

static bool
filled(const uint8_t *buf, size_t len, uint64_t kind, uint64_t gen)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = word_at(kind, gen, i);

        if (memcmp(buf + i, &v, len - i < 8 ? len - i : 8) != 0)
            return false;
    }
    return true;
}

#define DO(x)                                                                                                \
    do {                                                                                                     \
        if (!(x)) {                                                                                          \
            atomic_store(&told->failed, __LINE__);                                                           \
            _exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)

static uint8_t buf[SWAP + RECORD];

static void
append_record(struct fsc *fs, int i)
{
    uint64_t gen = atomic_load(&told->records[i]);
    struct fsc_file *f;
    char name[16];

    snprintf(name, sizeof name, "log%d", i);
    fill(buf, RECORD, 1 + (unsigned)i, gen);
    DO(fsc_open(fs, &fc_root, name, O_CREAT | O_WRONLY | O_APPEND, 0600, &f) == 0);
    DO(fsc_pwrite(f, buf, RECORD, 0) == RECORD);
    atomic_store(&told->records[i], gen + 1);
    if (unit_one_in(4))
        DO(fsc_fsync(f) == 0);
    DO(fsc_close(f) == 0);
}

static void
swap_in(struct fsc *fs)
{
    uint64_t gen = atomic_load(&told->swapped) + 1;
    struct fsc_file *f;

    fill(buf, SWAP, 99, gen);
    DO(fsc_open(fs, &fc_root, "swap.new", O_CREAT | O_TRUNC | O_WRONLY, 0600, &f) == 0);
    DO(fsc_pwrite(f, buf, SWAP, 0) == SWAP);
    DO(fsc_close(f) == 0);
    DO(fsc_rename(fs, &fc_root, "swap.new", NULL, "swap", 0) == 0);
    atomic_store(&told->swapped, gen);
}

// Everything else that changes a volume; only the check looks at it.
static void
stir(struct fsc *fs)
{
    struct fsc_file *f;
    uint64_t at = unit_below(4 * FC_CHUNK);

    DO(fsc_open(fs, &fc_root, "stir", O_CREAT | O_RDWR, 0600, &f) == 0);
    switch (unit_below(7)) {
    case 0:
        DO(fsc_pwrite(f, buf, 1 + unit_below(sizeof buf - 1), at) > 0);
        break;
    case 1:
        DO(fsc_ftruncate(f, at) == 0);
        break;
    case 2:
        DO(fsc_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, 1 + unit_below(100000)) == 0);
        break;
    case 3:
        fsc_remove_tree(fs, &fc_root, "copy", NULL);
        DO(fsc_snapshot(fs, &fc_root, "stir", NULL, "copy") == 0);
        break;
    case 4:
        DO(fsc_unlink(fs, &fc_root, "stir", 0) == 0);
        DO(fsc_pwrite(f, buf, 100, at) == 100);
        break;
    case 5:
        DO(fsc_mkdir(fs, &fc_root, "d", 0700) == 0 && fsc_symlink(fs, "to", &fc_root, "d/s") == 0);
        DO(fsc_setxattr(fs, &fc_root, "d", "user.x", "1", 1, 0, 0) == 0);
        DO(fsc_rename(fs, &fc_root, "d", NULL, "e", 0) == 0);
        DO(fsc_remove_tree(fs, &fc_root, "e", NULL) == 0);
        break;
    default:
        DO(fsc_maintain(fs) == 0);
    }
    DO(fsc_close(f) == 0);
}

static void
child(uint64_t seed)
{
    struct fsc *fs = fc_open(0);
    char value[24];

    snprintf(value, sizeof value, "%llu", (unsigned long long)seed);
    setenv("ZIO_TEST_SEED", value, 1);
    if (!freopen("/dev/null", "w", stdout)) // the seed of each child is no news
        _exit(2);
    unit_seed(0);
    fsc_remove_tree(fs, &fc_root, "d", NULL);
    fsc_remove_tree(fs, &fc_root, "e", NULL);
    for (;;) {
        atomic_fetch_add(&told->ops, 1);
        if (unit_one_in(3))
            stir(fs);
        else if (unit_one_in(4))
            swap_in(fs);
        else
            append_record(fs, (int)unit_below(LOGS));
    }
}

static void
check_logs(struct fsc *fs)
{
    static uint8_t rec[RECORD];

    for (int i = 0; i < LOGS; i++) {
        uint64_t said = atomic_load(&told->records[i]), have;
        struct fsc_file *f;
        char name[16];

        snprintf(name, sizeof name, "log%d", i);
        if (fsc_open(fs, &fc_root, name, O_RDONLY, 0, &f) == -ENOENT) {
            IS(said, 0);
            continue;
        }
        have = fc_size(fs, name);
        IS(have % RECORD, 0);
        have /= RECORD;
        assert_in_range(have, said, said + 1);
        atomic_store(&told->records[i], have);
        // The last ones; the earlier were looked at before.
        for (uint64_t g = have > 3 ? have - 3 : 0; g < have; g++) {
            IS(fsc_pread(f, rec, RECORD, g * RECORD), RECORD);
            assert_true(filled(rec, RECORD, 1 + (unsigned)i, g));
        }
        OK(fsc_close(f));
    }
}

static void
check_swap(struct fsc *fs)
{
    uint64_t said = atomic_load(&told->swapped);
    struct fsc_file *f;

    if (fsc_open(fs, &fc_root, "swap", O_RDONLY, 0, &f) == -ENOENT) {
        IS(said, 0);
        return;
    }
    IS(fsc_pread(f, buf, sizeof buf, 0), SWAP);
    if (filled(buf, SWAP, 99, said + 1))
        atomic_store(&told->swapped, said + 1);
    else
        assert_true(filled(buf, SWAP, 99, said));
    OK(fsc_close(f));
}

static void
check_all(struct fsc *fs, int round)
{
    uint64_t n;

    check_logs(fs);
    check_swap(fs);
    if (round % 10)
        return;
    // Chunks that were made and not committed are no damage; anything else is.
    n = fc_findings(fs, true);
    for (char *p = fc_codes; n && *p; p += 5)
        if (strncmp(p, "leak ", 5) != 0)
            fail_msg("round %d: the check found: %s", round, fc_codes);
    fc_check(fs);
}

static void
test_kill(void **state)
{
    struct fsc *beside = NULL, *fs;

    unit_seed(11);
    fc_make(NULL);
    told = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(told != MAP_FAILED);
    for (int round = 1; round <= ROUNDS; round++) {
        uint64_t seed = unit_random() >> 1, stop = 1 + unit_below(10);
        unsigned spin = unit_below(200000);
        pid_t pid;

        if (round % 20 == 10)
            beside = fc_open(0);
        atomic_store(&told->ops, 0);
        pid = fork();
        if (pid == 0)
            child(seed);
        while (atomic_load(&told->ops) < stop && atomic_load(&told->failed) == 0)
            usleep(20);
        for (volatile unsigned i = 0; i < spin; i++)
            ;
        kill(pid, SIGKILL);
        IS(fc_wait(pid), atomic_load(&told->failed) ? 1 : 128 + SIGKILL);
        IS(atomic_load(&told->failed), 0);
        fs = beside ? beside : fc_open(0);
        check_all(fs, round);
        if (!beside || round % 20 == 0) {
            fsc_close_volume(fs);
            beside = NULL;
        }
    }
    fsc_close_volume(beside);
    munmap(told, 4096);
    fc_remove();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kill)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
