// SPDX-License-Identifier: Apache-2.0
// The mapping calls on absent memory, and what a read there gives afterwards.
#include "tests/adversarial/adv.h"

#include <setjmp.h>

#define N (512 * KIB)

static sigjmp_buf fault_jump;
static volatile int fault_signal;
static void *volatile fault_address;

static void
on_fault(int sig, siginfo_t *info, void *context)
{
    (void)context;
    fault_signal = sig;
    fault_address = info->si_addr;
    siglongjmp(fault_jump, 1);
}

// The signal that touching this byte raises, or 0; the handler's si_addr must be the byte.
static int
touch(volatile uint8_t *p, bool write)
{
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, segv, bus;
    sigaction(SIGSEGV, &act, &segv);
    sigaction(SIGBUS, &act, &bus);
    fault_signal = 0;
    fault_address = (void *)p;
    if (sigsetjmp(fault_jump, 1) == 0) {
        if (write)
            *p = 1;
        else
            (void)*p;
    }
    sigaction(SIGSEGV, &segv, NULL);
    sigaction(SIGBUS, &bus, NULL);
    return fault_address == (void *)p ? fault_signal : -1;
}

static int
mprotect_none(void)
{
    uint8_t *p = absent_map(N, 1);
    EXPECT(mprotect(p, N, PROT_NONE) == 0);
    EXPECT(touch(p + 3 * PAGE + 5, false) == SIGSEGV);
    EXPECT(touch(p, true) == SIGSEGV);
    EXPECT(mprotect(p, N, PROT_READ | PROT_WRITE) == 0);
    EXPECT(same(p, N, 1));
    return 0;
}

static int
mprotect_none_in_the_middle(void)
{
    uint8_t *p = absent_map(N, 1);
    EXPECT(mprotect(p + 10 * PAGE, 10 * PAGE, PROT_NONE) == 0);
    EXPECT(same(p, 10 * PAGE, 1));
    EXPECT(touch(p + 10 * PAGE, false) == SIGSEGV);
    EXPECT(touch(p + 20 * PAGE - 1, true) == SIGSEGV);
    EXPECT(same_from(p + 20 * PAGE, N - 20 * PAGE, 1, 20 * PAGE));
    EXPECT(mprotect(p + 10 * PAGE, 10 * PAGE, PROT_READ) == 0);
    EXPECT(same(p, N, 1));
    EXPECT(touch(p + 15 * PAGE, true) == SIGSEGV);
    return 0;
}

static int
mprotect_read(void)
{
    uint8_t *p = absent_map(N, 1);
    EXPECT(mprotect(p, N, PROT_READ) == 0);
    EXPECT(touch(p + PAGE, true) == SIGSEGV);
    EXPECT(same(p, N / 2, 1));
    EXPECT(touch(p + N - 1, true) == SIGSEGV);
    EXPECT(same(p, N, 1));
    EXPECT(mprotect(p, N, PROT_READ | PROT_WRITE) == 0);
    p[PAGE] = pattern(1, PAGE);
    EXPECT(same(p, N, 1));
    return 0;
}

// A frozen source stays the program's: protection that it asks for, and no other.
static int
mprotect_of_source(void)
{
    uint8_t *src = map_anon(N), *dst = map_anon(N);
    fill(src, N, 1);
    do_memcpy(dst, src, N);
    EXPECT(mprotect(src, N, PROT_READ) == 0);
    EXPECT(touch(src + 5, true) == SIGSEGV);
    EXPECT(mprotect(src, N, PROT_READ | PROT_WRITE) == 0);
    EXPECT(touch(src + 5, true) == 0);
    fill(src, N, 2);
    EXPECT(same(dst, N, 1));
    EXPECT(same(src, N, 2));
    return 0;
}

// A copy into memory that may not be written must fault as a plain one does.
static int
copy_into_protected(void)
{
    uint8_t *src = new_filled(N, 1), *dst = map_anon(N);
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, old;
    EXPECT(mprotect(dst, N, PROT_READ) == 0);
    sigaction(SIGSEGV, &act, &old);
    fault_signal = 0;
    if (sigsetjmp(fault_jump, 1) == 0)
        do_memcpy(dst, src, N);
    EXPECT(fault_signal == SIGSEGV);
    EXPECT(mprotect(dst, N, PROT_READ | PROT_WRITE) == 0);
    EXPECT(mprotect(src - (uintptr_t)src % PAGE + PAGE, N / 2, PROT_NONE) == 0);
    fault_signal = 0;
    if (sigsetjmp(fault_jump, 1) == 0)
        do_memcpy(dst, src, N);
    EXPECT(fault_signal == SIGSEGV);
    sigaction(SIGSEGV, &old, NULL);
    EXPECT(mprotect(src - (uintptr_t)src % PAGE + PAGE, N / 2, PROT_READ | PROT_WRITE) == 0);
    EXPECT(same(src, N, 1));
    return 0;
}

static int
dontneed_gives_zeros(void)
{
    uint8_t *p = absent_map(N, 1);
    EXPECT(madvise(p + 4 * PAGE, 8 * PAGE, MADV_DONTNEED) == 0);
    EXPECT(all_bytes(p + 4 * PAGE, 8 * PAGE, 0));
    EXPECT(same(p, 4 * PAGE, 1));
    EXPECT(same_from(p + 12 * PAGE, N - 12 * PAGE, 1, 12 * PAGE));
    uint8_t *q = absent_map(N, 2);
    EXPECT(raw_syscall(SYS_madvise, (long)q, N, MADV_DONTNEED, 0, 0, 0) == 0);
    EXPECT(all_bytes(q, N, 0));
    return 0;
}

static int
dontneed_then_copied_on(void)
{
    uint8_t *p = absent_map(N, 1);
    EXPECT(madvise(p, N / 2, MADV_DONTNEED) == 0);
    uint8_t *q = copied(p, N);
    fill(p, N, 2);
    EXPECT(all_bytes(q, N / 2, 0));
    EXPECT(same_from(q + N / 2, N / 2, 1, N / 2));
    return 0;
}

static int
madvise_free(void)
{
    uint8_t *p = absent_map(N, 1);
    EXPECT(madvise(p, N, MADV_FREE) == 0);
    for (size_t i = 0; i < N; i += PAGE)
        EXPECT(p[i] == 0 || p[i] == pattern(1, i));
    fill(p, N, 2);
    EXPECT(same(p, N, 2));
    return 0;
}

static int
madvise_others_keep_content(void)
{
    static const int advice[] = {MADV_WILLNEED,      MADV_SEQUENTIAL,    MADV_RANDOM,    MADV_NORMAL,
                                 MADV_HUGEPAGE,      MADV_COLD,          MADV_PAGEOUT,   MADV_DOFORK,
                                 MADV_NOHUGEPAGE,    MADV_POPULATE_READ, MADV_MERGEABLE, MADV_UNMERGEABLE,
                                 MADV_POPULATE_WRITE};
    for (size_t i = 0; i < sizeof advice / sizeof *advice; i++) {
        uint8_t *p = absent_map(N, 1);
        if (madvise(p, N, advice[i]) < 0)
            EXPECT(errno == EINVAL);
        EXPECT(same(p, N, 1));
        munmap(p, N);
    }
    return 0;
}

static int
locked(void)
{
    uint8_t *p = absent_map(N, 1);
    EXPECT(mlock(p, N) == 0);
    EXPECT(same(p, N, 1));
    uint8_t *src = new_filled(N, 2);
    do_memcpy(p, src, N);
    fill(src, N, 3);
    EXPECT(same(p, N, 2));
    EXPECT(munlock(p, N) == 0);
    EXPECT(same(p, N, 2));
    return 0;
}

static int
locked_all(void)
{
    uint8_t *p = absent_map(N, 1);
    SKIP_IF(mlockall(MCL_CURRENT | MCL_FUTURE) < 0, "mlockall is refused here");
    uint8_t *q = absent_map(N, 2), *r = absent(N, 3);
    EXPECT(same(p, N, 1));
    EXPECT(same(q, N, 2));
    EXPECT(munlockall() == 0);
    EXPECT(same(r, N, 3));
    return 0;
}

static int
unmapped_while_absent(void)
{
    for (int i = 0; i < 50; i++) {
        uint8_t *p = absent_map(N, 1);
        EXPECT(munmap(p + 8 * PAGE, 8 * PAGE) == 0);
        EXPECT(touch(p + 8 * PAGE, false) == SIGSEGV);
        uint8_t *hole = mmap(p + 8 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        EXPECT(hole == p + 8 * PAGE);
        EXPECT(all_bytes(hole, 8 * PAGE, 0));
        EXPECT(same(p, 8 * PAGE, 1));
        EXPECT(same_from(p + 16 * PAGE, N - 16 * PAGE, 1, 16 * PAGE));
        EXPECT(munmap(p, N) == 0);
    }
    return 0;
}

static int
unmapped_behind_the_hooks(void)
{
    uint8_t *p = absent_map(N, 1);
    EXPECT(raw_syscall(SYS_munmap, (long)p, N, 0, 0, 0, 0) == 0);
    EXPECT(touch(p, false) == SIGSEGV);
    EXPECT(raw_syscall(SYS_mmap, (long)p, N, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                       -1, 0) == (long)p);
    EXPECT(all_bytes(p, N, 0));
    fill(p, N, 2);
    uint8_t *q = copied(p, N);
    fill(p, N, 3);
    EXPECT(same(q, N, 2));
    return 0;
}

static int
fixed_map_over_absent(void)
{
    uint8_t *p = absent_map(N, 1);
    EXPECT(mmap(p + 2 * PAGE, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                0) == p + 2 * PAGE);
    EXPECT(all_bytes(p + 2 * PAGE, 3 * PAGE, 0));
    EXPECT(same(p, 2 * PAGE, 1));
    EXPECT(same_from(p + 5 * PAGE, N - 5 * PAGE, 1, 5 * PAGE));
    return 0;
}

static int
file_map_over_absent(void)
{
    int fd = memfd_create("x", 0);
    uint8_t *content = new_filled(4 * PAGE, 2), *p = absent_map(N, 1);
    EXPECT(write(fd, content, 4 * PAGE) == 4 * PAGE);
    EXPECT(mmap(p + PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == p + PAGE);
    EXPECT(same(p + PAGE, 4 * PAGE, 2));
    uint8_t *src = new_filled(N, 3);
    do_memcpy(p, src, N);
    EXPECT(pread(fd, content, 4 * PAGE, 0) == 4 * PAGE);
    EXPECT(same_from(content, 4 * PAGE, 3, PAGE));
    return 0;
}

static int
mremap_moves(void)
{
    uint8_t *p = absent_map(N, 1), *to = map_anon(N);
    EXPECT(mremap(p, N, N, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    EXPECT(touch(p, false) == SIGSEGV);
    EXPECT(same(to, N, 1));
    uint8_t *q = absent_map(N, 2);
    to = map_anon(N);
    EXPECT(raw_syscall(SYS_mremap, (long)q, N, N, MREMAP_MAYMOVE | MREMAP_FIXED, (long)to, 0) == (long)to);
    EXPECT(same(to, N, 2));
    return 0;
}

static int
mremap_moves_a_part(void)
{
    uint8_t *p = absent_map(N, 1), *to = map_anon(8 * PAGE);
    EXPECT(mremap(p + 16 * PAGE, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    EXPECT(same_from(to, 8 * PAGE, 1, 16 * PAGE));
    EXPECT(same(p, 16 * PAGE, 1));
    EXPECT(touch(p + 16 * PAGE, false) == SIGSEGV);
    EXPECT(same_from(p + 24 * PAGE, N - 24 * PAGE, 1, 24 * PAGE));
    return 0;
}

static int
mremap_grows(void)
{
    uint8_t *p = absent_map(N, 1);
    p = mremap(p, N, 4 * N, MREMAP_MAYMOVE);
    EXPECT(p != MAP_FAILED);
    EXPECT(same(p, N, 1));
    EXPECT(all_bytes(p + N, 3 * N, 0));
    p = mremap(p, 4 * N, 8 * PAGE, 0);
    EXPECT(p != MAP_FAILED && same(p, 8 * PAGE, 1));
    EXPECT(touch(p + 8 * PAGE, false) == SIGSEGV);
    return 0;
}

static int
mremap_shrinks(void)
{
    uint8_t *p = absent_map(N, 1);
    EXPECT(mremap(p, N, N / 2, 0) == p);
    EXPECT(touch(p + N / 2, false) == SIGSEGV);
    EXPECT(mmap(p + N / 2, N / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                -1, 0) == p + N / 2);
    EXPECT(all_bytes(p + N / 2, N / 2, 0));
    EXPECT(same(p, N / 2, 1));
    return 0;
}

// Advice on a part makes several mappings of one. Since Linux 6.17 they move together; memory that was never
// copied tells what this kernel does.
static int
mremap_moves_several_mappings(void)
{
    uint8_t *control = map_anon(N), *p = absent_map(N, 1);
    fill(control, N, 2);
    EXPECT(madvise(control + 8 * PAGE, 8 * PAGE, MADV_RANDOM) == 0);
    EXPECT(madvise(p + 8 * PAGE, 8 * PAGE, MADV_RANDOM) == 0);
    uint8_t *to = map_anon(N), *to2 = map_anon(N);
    bool moved = mremap(control, N, N, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to;
    bool moved2 = mremap(p, N, N, MREMAP_MAYMOVE | MREMAP_FIXED, to2) == to2;
    EXPECT(moved == moved2);
    EXPECT(same(moved ? to2 : p, N, 1));
    return 0;
}

static int
mremap_dontunmap(void)
{
    uint8_t *p = absent_map(N, 1);
    uint8_t *to = mremap(p, N, N, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    EXPECT(to != MAP_FAILED);
    EXPECT(same(to, N, 1));
    EXPECT(all_bytes(p, N, 0));
    return 0;
}

static int
break_shrinks(void)
{
    uint8_t *start = sbrk(0);
    SKIP_IF(brk(start + 2 * N) < 0, "the break does not move here");
    fill(start, N, 1);
    do_memcpy(start + N, start, N);
    EXPECT(brk(start + N + N / 2) == 0);
    EXPECT(brk(start + 2 * N) == 0);
    uintptr_t keep = ((uintptr_t)start + N + N / 2 + PAGE - 1) / PAGE * PAGE - (uintptr_t)start;
    EXPECT(same(start + N, N / 2, 1));
    EXPECT(all_bytes(start + keep, 2 * N - keep, 0));
    return 0;
}

// What a program can see of its memory besides the bytes.
static int
mincore_and_msync(void)
{
    uint8_t *p = absent_map(N, 1);
    unsigned char vec[N / PAGE];
    EXPECT(mincore(p, N, vec) == 0);
    EXPECT(msync(p, N, MS_SYNC) == 0);
    EXPECT(same(p, N, 1));
    munmap(p, N);
    EXPECT(mincore(p, N, vec) < 0 && errno == ENOMEM);
    return 0;
}

static int
huge_pages(void)
{
    size_t n = 8 * MIB;
    uint8_t *src = map_anon(n), *dst = map_anon(n);
    madvise(src, n, MADV_HUGEPAGE);
    madvise(dst, n, MADV_HUGEPAGE);
    fill(src, n, 1);
    fill(dst, n, 9);
    do_memcpy(dst, src, n);
    fill(src, n, 2);
    EXPECT(same(dst, n, 1));
    do_memcpy(src + 12345, dst, n / 2);
    fill(dst, n, 3);
    EXPECT(same(src, 12345, 2));
    EXPECT(same(src + 12345, n / 2, 1));
    return 0;
}

const struct adv_case adv_map_cases[] = {
    {"mprotect_none", mprotect_none, ADV_ELIDES},
    {"mprotect_none_in_the_middle", mprotect_none_in_the_middle, ADV_ELIDES},
    {"mprotect_read", mprotect_read, ADV_ELIDES},
    {"mprotect_of_source", mprotect_of_source, ADV_ELIDES},
    {"copy_into_protected", copy_into_protected, 0},
    {"dontneed_gives_zeros", dontneed_gives_zeros, ADV_ELIDES},
    {"dontneed_then_copied_on", dontneed_then_copied_on, ADV_ELIDES},
    {"madvise_free", madvise_free, ADV_ELIDES},
    {"madvise_others_keep_content", madvise_others_keep_content, ADV_ELIDES},
    {"mlock", locked, ADV_ELIDES},
    {"mlockall", locked_all, ADV_ELIDES},
    {"unmapped_while_absent", unmapped_while_absent, ADV_ELIDES},
    {"unmapped_behind_the_hooks", unmapped_behind_the_hooks, ADV_ELIDES},
    {"fixed_map_over_absent", fixed_map_over_absent, ADV_ELIDES},
    {"file_map_over_absent", file_map_over_absent, ADV_ELIDES},
    {"mremap_moves", mremap_moves, ADV_ELIDES},
    {"mremap_moves_a_part", mremap_moves_a_part, ADV_ELIDES},
    {"mremap_grows", mremap_grows, ADV_ELIDES},
    {"mremap_shrinks", mremap_shrinks, ADV_ELIDES},
    {"mremap_moves_several_mappings", mremap_moves_several_mappings, ADV_ELIDES},
    {"mremap_dontunmap", mremap_dontunmap, ADV_ELIDES},
    {"break_shrinks", break_shrinks, 0},
    {"mincore_and_msync", mincore_and_msync, ADV_ELIDES},
    {"huge_pages", huge_pages, 0},
    {NULL, NULL, 0},
};
