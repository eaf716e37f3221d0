// SPDX-License-Identifier: Apache-2.0
// Destinations of every kind, copies of copies, and the forms of the call.
#include "tests/adversarial/adv.h"

#include <pthread.h>

#define N (512 * KIB)

static uint8_t bss_buffer[N + 2 * PAGE];

static int
part_overwritten_by_copy(void)
{
    uint8_t *a = new_filled(N, 1), *b = new_filled(N, 2), *dst = copied(a, N);
    do_memcpy(dst, b, N / 4);
    do_memcpy(dst + N - 10 * PAGE, b, 10 * PAGE);
    fill(a, N, 3);
    fill(b, N, 3);
    EXPECT(same(dst, N / 4, 2));
    EXPECT(same_from(dst + N / 4, N - N / 4 - 10 * PAGE, 1, N / 4));
    EXPECT(same(dst + N - 10 * PAGE, 10 * PAGE, 2));
    return 0;
}

static int
second_copy_into_middle(void)
{
    uint8_t *a = new_filled(N, 1), *b = new_filled(N, 2), *dst = copied(a, N);
    size_t at = 100001, n = 150003;
    do_memcpy(dst + at, b, n);
    fill(a, N, 3);
    fill(b, N, 3);
    EXPECT(same(dst, at, 1));
    EXPECT(same(dst + at, n, 2));
    EXPECT(same_from(dst + at + n, N - at - n, 1, at + n));
    return 0;
}

// Copy of a copy of a copy, each at another distance from a page's start.
static int
chain_of_unequal_alignments(void)
{
    static const size_t offset[] = {0, 1, 16, 2048, 4095, 0, 4080, 7};
    uint8_t *p[8];
    for (int i = 0; i < 8; i++) {
        p[i] = (uint8_t *)map_anon(N + 2 * PAGE) + offset[i];
        if (i == 0)
            fill(p[0], N, 1);
        else
            do_memcpy(p[i], p[i - 1], N);
    }
    for (int i = 0; i < 7; i++)
        fill(p[i], N, 2);
    EXPECT(same(p[7], N, 1));
    return 0;
}

static int
chain_of_equal_alignments(void)
{
    uint8_t *p[12];
    for (int i = 0; i < 12; i++) {
        p[i] = map_anon(N);
        if (i == 0)
            fill(p[0], N, 1);
        else
            do_memcpy(p[i], p[i - 1], N);
    }
    for (int i = 10; i >= 0; i -= 2)
        munmap(p[i], N);
    for (int i = 1; i < 12; i += 2)
        EXPECT(same(p[i], N, 1));
    return 0;
}

static int
chain_shrinking(void)
{
    uint8_t *last = new_filled(N, 1);
    size_t at = 0, n = N;
    while (n > 8 * PAGE) {
        uint8_t *next = malloc(n - 2 * PAGE - 3);
        do_memcpy(next, last + PAGE + 1, n - 2 * PAGE - 3);
        at += PAGE + 1;
        n -= 2 * PAGE + 3;
        free(last);
        last = next;
    }
    EXPECT(same_from(last, n, 1, at));
    return 0;
}

static int
two_readers(void)
{
    uint8_t *src = new_filled(N, 1), *a = copied(src, N), *b = copied(src, N), *c = copied(a, N);
    a[7 * PAGE] ^= 1;
    fill(src, N, 2);
    EXPECT(same(b, N, 1));
    EXPECT(same(c, N, 1));
    a[7 * PAGE] ^= 1;
    free(b);
    EXPECT(same(a, N, 1));
    free(a);
    EXPECT(same(c, N, 1));
    return 0;
}

static int
part_of_absent_copied_on(void)
{
    uint8_t *dst = absent(N, 1);
    uint8_t *part = copied(dst + 12345, 200000);
    dst[12345] ^= 1;
    EXPECT(same_from(part, 200000, 1, 12345));
    free(dst);
    EXPECT(same_from(part, 200000, 1, 12345));
    return 0;
}

static int
shared_destination(void)
{
    uint8_t *src = new_filled(N, 1);
    uint8_t *dst = mmap(NULL, N, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(dst != MAP_FAILED);
    pid_t pid = fork();
    if (pid == 0) {
        do_memcpy(dst, src, N);
        fill(src, N, 2);
        _exit(0);
    }
    EXPECT(child_ok(pid));
    EXPECT(same(dst, N, 1));
    do_memcpy(dst, src + PAGE, N - PAGE);
    pid = fork();
    if (pid == 0)
        _exit(!same_from(dst, N - PAGE, 1, PAGE));
    EXPECT(child_ok(pid));
    return 0;
}

static int
shared_file_destination(void)
{
    int fd = memfd_create("x", 0);
    EXPECT(ftruncate(fd, N) == 0);
    uint8_t *src = new_filled(N, 1), *back = malloc(N);
    uint8_t *dst = mmap(NULL, N, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT(dst != MAP_FAILED);
    do_memcpy(dst, src, N);
    fill(src, N, 2);
    EXPECT(pread(fd, back, N, 0) == (ssize_t)N);
    EXPECT(same(back, N, 1));
    do_memcpy(dst, back, N);
    EXPECT(munmap(dst, N) == 0);
    EXPECT(raw_syscall(SYS_pread64, fd, (long)src, N, 0, 0, 0) == (long)N);
    EXPECT(same(src, N, 1));
    return 0;
}

static int
private_file_destination(void)
{
    int fd = memfd_create("x", 0);
    uint8_t *src = new_filled(N, 1), *back = new_filled(N, 2);
    EXPECT(pwrite(fd, back, N, 0) == (ssize_t)N);
    uint8_t *dst = mmap(NULL, N, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    EXPECT(dst != MAP_FAILED);
    do_memcpy(dst, src, N);
    fill(src, N, 3);
    EXPECT(same(dst, N, 1));
    EXPECT(pread(fd, back, N, 0) == (ssize_t)N);
    EXPECT(same(back, N, 2));
    return 0;
}

static int
bss_source_and_destination(void)
{
    uint8_t *src = new_filled(N, 1);
    do_memcpy(bss_buffer + 3, src, N);
    fill(src, N, 2);
    EXPECT(same(bss_buffer + 3, N, 1));
    do_memcpy(src, bss_buffer + 3, N);
    fill(bss_buffer, N, 4);
    EXPECT(same(src, N, 1));
    return 0;
}

static int
stack_source_and_destination(void)
{
    uint8_t stack[256 * KIB];
    uint8_t *src = new_filled(sizeof stack, 1);
    do_memcpy(stack, src, sizeof stack);
    fill(src, sizeof stack, 2);
    EXPECT(same(stack, sizeof stack, 1));
    do_memcpy(src, stack, sizeof stack);
    fill(stack, sizeof stack, 3);
    EXPECT(same(src, sizeof stack, 1));
    return 0;
}

static void *
on_thread_stack(void *src)
{
    uint8_t stack[256 * KIB];
    do_memcpy(stack, src, sizeof stack);
    fill(src, sizeof stack, 2);
    bool ok = same(stack, sizeof stack, 1);
    do_memcpy(src, stack, sizeof stack);
    return ok ? src : NULL;
}

static int
thread_stack(void)
{
    pthread_t thread;
    void *ok;
    uint8_t *src = new_filled(256 * KIB, 1);
    EXPECT(pthread_create(&thread, NULL, on_thread_stack, src) == 0);
    EXPECT(pthread_join(thread, &ok) == 0 && ok);
    EXPECT(same(src, 256 * KIB, 1));
    return 0;
}

static int
brk_source_and_destination(void)
{
    uint8_t *p = sbrk(2 * N + PAGE);
    SKIP_IF(p == (void *)-1, "the break does not move here");
    fill(p, N, 1);
    do_memcpy(p + N, p, N);
    fill(p, N, 2);
    EXPECT(same(p + N, N, 1));
    return 0;
}

static int
sizes_and_alignments(void)
{
    static const size_t sizes[] = {4095,  4096,  4097,  8191,  8192,   12287,
                                   65535, 65536, 65537, 69632, 131071, 200000};
    static const size_t offsets[] = {0, 1, 8, 16, 2047, 4095};
    uint8_t *src = map_anon(512 * KIB), *dst = map_anon(512 * KIB);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t a = 0; a < 6; a++)
            for (size_t b = 0; b < 6; b++) {
                size_t n = sizes[s];
                set_bytes(dst + offsets[b] + n, 16, 0xaa);
                dst[offsets[b]] = 0;
                fill(src + offsets[a], n, (unsigned)(s + a + b));
                EXPECT(do_memcpy(dst + offsets[b], src + offsets[a], n) == dst + offsets[b]);
                EXPECT(all_bytes(dst + offsets[b] + n, 16, 0xaa));
                src[offsets[a] + n / 2] ^= 0x55;
                EXPECT(same(dst + offsets[b], n, (unsigned)(s + a + b)));
            }
    return 0;
}

static int
mempcpy_returns_the_end(void)
{
    uint8_t *src = new_filled(N, 1), *dst = malloc(N);
    EXPECT(do_mempcpy(dst, src, N) == dst + N);
    EXPECT(do_memmove(dst, src, N) == dst);
    EXPECT(same(dst, N, 1));
    return 0;
}

extern void *__memcpy_chk(void *, const void *, size_t, size_t);
extern void *__memmove_chk(void *, const void *, size_t, size_t);
extern void *__mempcpy_chk(void *, const void *, size_t, size_t);

static int
checked_forms(void)
{
    uint8_t *src = new_filled(N, 1), *dst = malloc(N);
    EXPECT(__memcpy_chk(dst, src, N, N) == dst);
    fill(src, N, 2);
    EXPECT(same(dst, N, 1));
    EXPECT(__memmove_chk(dst, src, N, (size_t)-1) == dst);
    fill(src, N, 1);
    EXPECT(same(dst, N, 2));
    EXPECT(__mempcpy_chk(dst, src, N - 5, N) == dst + N - 5);
    EXPECT(same(dst, N - 5, 1));
    return 0;
}

// A copy longer than the destination that the compiler knew must end in glibc's "buffer overflow detected".
static int
checked_forms_abort(void)
{
    uint8_t *src = new_filled(N, 1), *dst = malloc(N);
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(open("/dev/null", O_WRONLY), 2);
        __memcpy_chk(dst, src, N, N - 1);
        _exit(0);
    }
    EXPECT(waitpid(pid, &status, 0) == pid);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    return 0;
}

static int
huge(void)
{
    size_t n = 96 * MIB + 123;
    uint8_t *dst = absent(n, 1);
    for (size_t i = 0; i < n; i += 1000003)
        EXPECT(dst[i] == pattern(1, i));
    free(dst);
    return 0;
}

// More ranges than any fixed table would hold: a buffer of pieces from all over another one.
static int
scattered(size_t pieces, size_t pages)
{
    size_t n = pages * PAGE;
    uint8_t *src = map_anon(pieces * n), *dst = map_anon(pieces * n);
    fill(src, pieces * n, 1);
    for (size_t i = 0; i < pieces; i++)
        do_memcpy(dst + i * 2477 % pieces * n, src + i * n, n);
    fill(src, pieces * n, 2);
    for (size_t i = 0; i < pieces; i++)
        EXPECT(same_from(dst + i * 2477 % pieces * n, n, 1, i * n));
    return 0;
}

static int
very_many_pages(void)
{
    return scattered(6000, 1);
}

static int
very_many_ranges(void)
{
    return scattered(3000, 8);
}

static int
gigantic_lengths_fault(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        uint8_t *p = map_anon(4 * PAGE), *src = new_filled(N, 1);
        munmap(p + 3 * PAGE, PAGE);
        do_memcpy(p, src, N);
        _exit(0);
    }
    EXPECT(waitpid(pid, &status, 0) == pid);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    return 0;
}

const struct adv_case adv_dest_cases[] = {
    {"part_overwritten_by_copy", part_overwritten_by_copy, ADV_ELIDES},
    {"second_copy_into_middle", second_copy_into_middle, ADV_ELIDES},
    {"chain_of_unequal_alignments", chain_of_unequal_alignments, ADV_ELIDES},
    {"chain_of_equal_alignments", chain_of_equal_alignments, ADV_ELIDES},
    {"chain_shrinking", chain_shrinking, ADV_ELIDES},
    {"two_readers", two_readers, ADV_ELIDES},
    {"part_of_absent_copied_on", part_of_absent_copied_on, ADV_ELIDES},
    {"shared_destination", shared_destination, 0},
    {"shared_file_destination", shared_file_destination, 0},
    {"private_file_destination", private_file_destination, 0},
    {"bss_source_and_destination", bss_source_and_destination, 0},
    {"stack_source_and_destination", stack_source_and_destination, 0},
    {"thread_stack", thread_stack, 0},
    {"brk_source_and_destination", brk_source_and_destination, 0},
    {"sizes_and_alignments", sizes_and_alignments, ADV_ELIDES},
    {"mempcpy_returns_the_end", mempcpy_returns_the_end, ADV_ELIDES},
    {"checked_forms", checked_forms, ADV_ELIDES},
    {"checked_forms_abort", checked_forms_abort, 0},
    {"huge", huge, ADV_ELIDES | ADV_SLOW},
    {"very_many_pages", very_many_pages, 0},
    {"very_many_ranges", very_many_ranges, ADV_ELIDES | ADV_SLOW},
    {"gigantic_lengths_fault", gigantic_lengths_fault, 0},
    {NULL, NULL, 0},
};
