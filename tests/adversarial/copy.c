// SPDX-License-Identifier: Apache-2.0
// What happens to the source of a copy afterwards, and copies whose ranges meet.
#include "tests/adversarial/adv.h"

#define N (512 * KIB)

// The plainest elision: when this elides nothing, this machine does not elide.
static int
canary(void)
{
    uint8_t *dst = absent(MIB, 1);
    EXPECT(same(dst, MIB, 1));
    return 0;
}

static int
store_into_source(void)
{
    uint8_t *src = new_filled(N, 1), *dst = copied(src, N);
    src[0] ^= 0xff;
    src[N / 2 + 17] ^= 0xff;
    src[N - 1] ^= 0xff;
    EXPECT(same(dst, N, 1));
    EXPECT((src[0] ^ pattern(1, 0)) == 0xff && (src[N - 1] ^ pattern(1, N - 1)) == 0xff);
    fill(src, N, 2);
    EXPECT(same(dst, N, 1));
    EXPECT(same(src, N, 2));
    return 0;
}

static int
store_into_destination(void)
{
    uint8_t *src = new_filled(N, 1), *dst = copied(src, N);
    for (size_t i = 0; i < N; i += PAGE)
        dst[i] ^= 1;
    EXPECT(same(src, N, 1));
    for (size_t i = 0; i < N; i += PAGE)
        dst[i] ^= 1;
    EXPECT(same(dst, N, 1));
    return 0;
}

static int
source_freed(void)
{
    uint8_t *src = new_filled(N, 1), *dst = copied(src, N);
    free(src);
    uint8_t *again = new_filled(N, 2);
    EXPECT(same(dst, N, 1));
    EXPECT(same(again, N, 2));
    return 0;
}

static int
source_unmapped(void)
{
    uint8_t *dst = absent_map(N, 1);
    EXPECT(same(dst, N, 1));
    return 0;
}

static int
source_remapped(void)
{
    uint8_t *src = map_anon(N), *dst = map_anon(N);
    fill(src, N, 1);
    do_memcpy(dst, src, N);
    EXPECT(mmap(src, N, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == src);
    EXPECT(all_bytes(src, N, 0));
    fill(src, N, 2);
    EXPECT(same(dst, N, 1));
    return 0;
}

static int
source_unmapped_and_mapped_again(void)
{
    uint8_t *src = map_anon(N), *dst = map_anon(N);
    fill(src, N, 1);
    do_memcpy(dst, src, N);
    EXPECT(munmap(src, N) == 0);
    uint8_t *again =
        mmap(src, N, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    EXPECT(again == src);
    EXPECT(all_bytes(again, N, 0));
    fill(again, N, 3);
    EXPECT(same(dst, N, 1));
    EXPECT(same(again, N, 3));
    return 0;
}

// The server's pattern: one receive buffer, refilled for each message, copied each time.
static int
source_refilled_by_recv(void)
{
    int fd[2];
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
    uint8_t *src = malloc(64 * KIB), *piece = malloc(64 * KIB), *dst[8];
    for (unsigned i = 0; i < 8; i++) {
        fill(piece, 64 * KIB, i);
        EXPECT(send_all(fd[0], piece, 64 * KIB));
        EXPECT(recv(fd[1], src, 64 * KIB, MSG_WAITALL) == (ssize_t)(64 * KIB));
        dst[i] = copied(src, 64 * KIB);
    }
    for (unsigned i = 0; i < 8; i++)
        EXPECT(same(dst[i], 64 * KIB, i));
    EXPECT(same(src, 64 * KIB, 7));
    return 0;
}

static int
source_refilled_by_read(void)
{
    int fd = memfd_create("x", 0);
    uint8_t *src = new_filled(N, 2);
    EXPECT(write(fd, src, N) == (ssize_t)N);
    fill(src, N, 1);
    uint8_t *dst = copied(src, N);
    EXPECT(lseek(fd, 0, SEEK_SET) == 0);
    EXPECT(read(fd, src, N) == (ssize_t)N);
    EXPECT(same(dst, N, 1));
    EXPECT(same(src, N, 2));
    return 0;
}

static int
source_refilled_by_raw_read(void)
{
    int fd = memfd_create("x", 0);
    uint8_t *src = new_filled(N, 2);
    EXPECT(write(fd, src, N) == (ssize_t)N);
    fill(src, N, 1);
    uint8_t *dst = copied(src, N);
    EXPECT(raw_syscall(SYS_pread64, fd, (long)src, N, 0, 0, 0) == (long)N);
    EXPECT(same(dst, N, 1));
    EXPECT(same(src, N, 2));
    return 0;
}

static int
source_madvised_away(void)
{
    uint8_t *src = map_anon(N), *dst = map_anon(N);
    fill(src, N, 1);
    do_memcpy(dst, src, N);
    EXPECT(madvise(src, N, MADV_DONTNEED) == 0);
    EXPECT(all_bytes(src, N, 0));
    EXPECT(same(dst, N, 1));
    return 0;
}

static int
source_overwritten_by_copy(void)
{
    uint8_t *src = new_filled(N, 1), *other = new_filled(N, 2), *dst = copied(src, N);
    do_memcpy(src, other, N);
    fill(other, N, 3);
    EXPECT(same(dst, N, 1));
    EXPECT(same(src, N, 2));
    EXPECT(same(other, N, 3));
    return 0;
}

static int
source_of_zeros(void)
{
    uint8_t *src = map_anon(N), *dst = map_anon(N);
    fill(dst, N, 1);
    do_memcpy(dst, src, N);
    fill(src, N, 2);
    EXPECT(all_bytes(dst, N, 0));
    EXPECT(same(src, N, 2));
    return 0;
}

static int
source_read_only(void)
{
    uint8_t *src = map_anon(N), *dst = map_anon(N);
    fill(src, N, 1);
    EXPECT(mprotect(src, N, PROT_READ) == 0);
    do_memcpy(dst, src, N);
    EXPECT(mprotect(src, N, PROT_READ | PROT_WRITE) == 0);
    fill(src, N, 2);
    EXPECT(same(dst, N, 1));
    EXPECT(same(src, N, 2));
    return 0;
}

static int
source_private_file(void)
{
    int fd = memfd_create("x", 0);
    uint8_t *first = new_filled(N, 1), *second = new_filled(N, 2), *dst = map_anon(N);
    EXPECT(write(fd, first, N) == (ssize_t)N);
    uint8_t *src = mmap(NULL, N, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    EXPECT(src != MAP_FAILED);
    do_memcpy(dst, src, N);
    EXPECT(pwrite(fd, second, N, 0) == (ssize_t)N);
    EXPECT(same(dst, N, 1));
    fill(src, N, 3);
    EXPECT(same(dst, N, 1));
    return 0;
}

static int
source_shared(void)
{
    uint8_t *src = mmap(NULL, N, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
            *dst = map_anon(N);
    EXPECT(src != MAP_FAILED);
    fill(src, N, 1);
    do_memcpy(dst, src, N);
    fill(src, N, 2);
    EXPECT(same(dst, N, 1));
    return 0;
}

// memmove in both directions by distances around the page size.
static int
overlap(void)
{
    static const size_t distances[] = {1,    16,    100,    4095,  4096,     4097,
                                       8192, 65536, 100000, N / 2, N - 4096, N - 1};
    for (size_t d = 0; d < sizeof distances / sizeof *distances; d++) {
        size_t by = distances[d], n = N - by;
        uint8_t *p = new_filled(N, 1);
        do_memmove(p + by, p, n);
        EXPECT(same(p, by, 1));
        EXPECT(same(p + by, n, 1));
        fill(p, N, 2);
        do_memmove(p, p + by, n);
        EXPECT(same_from(p, n, 2, by));
        EXPECT(same_from(p + n, by, 2, n));
        free(p);
    }
    return 0;
}

static int
overlap_of_absent(void)
{
    static const size_t distances[] = {4096, 8192, 12345, N / 2};
    for (size_t d = 0; d < sizeof distances / sizeof *distances; d++) {
        size_t by = distances[d];
        uint8_t *p = absent_map(N, 1), *q = absent_map(N, 2);
        do_memmove(p + by, p, N - by);
        EXPECT(same(p, by, 1));
        EXPECT(same(p + by, N - by, 1));
        do_memmove(q, q + by, N - by);
        EXPECT(same_from(q, N - by, 2, by));
        EXPECT(same_from(q + N - by, by, 2, N - by));
    }
    return 0;
}

static int
onto_itself(void)
{
    uint8_t *p = absent_map(N, 1);
    do_memmove(p, p, N);
    do_memcpy(p + PAGE, p + PAGE, N - PAGE);
    EXPECT(same(p, N, 1));
    return 0;
}

static int
there_and_back(void)
{
    uint8_t *a = new_filled(N, 1), *b = copied(a, N);
    do_memcpy(a, b, N);
    EXPECT(same(a, N, 1));
    a[5 * PAGE] ^= 1;
    do_memcpy(b + 5 * PAGE, a + 5 * PAGE, PAGE);
    a[5 * PAGE] ^= 1;
    do_memcpy(a, b, N);
    EXPECT(a[5 * PAGE] == (pattern(1, 5 * PAGE) ^ 1));
    a[5 * PAGE] ^= 1;
    EXPECT(same(a, N, 1));
    return 0;
}

static int
halves_of_one_buffer(void)
{
    uint8_t *p = new_filled(N, 1);
    do_memcpy(p + N / 2, p, N / 2);
    fill(p, N / 2, 2);
    EXPECT(same(p + N / 2, N / 2, 1));
    do_memcpy(p, p + N / 2, N / 2);
    fill(p + N / 2, N / 2, 3);
    EXPECT(same(p, N / 2, 1));
    EXPECT(same(p + N / 2, N / 2, 3));
    return 0;
}

const struct adv_case adv_copy_cases[] = {
    {"canary", canary, ADV_ELIDES},
    {"store_into_source", store_into_source, ADV_ELIDES},
    {"store_into_destination", store_into_destination, ADV_ELIDES},
    {"source_freed", source_freed, ADV_ELIDES},
    {"source_unmapped", source_unmapped, ADV_ELIDES},
    {"source_remapped", source_remapped, ADV_ELIDES},
    {"source_unmapped_and_mapped_again", source_unmapped_and_mapped_again, ADV_ELIDES},
    {"source_refilled_by_recv", source_refilled_by_recv, ADV_ELIDES},
    {"source_refilled_by_read", source_refilled_by_read, ADV_ELIDES},
    {"source_refilled_by_raw_read", source_refilled_by_raw_read, ADV_ELIDES},
    {"source_madvised_away", source_madvised_away, ADV_ELIDES},
    {"source_overwritten_by_copy", source_overwritten_by_copy, ADV_ELIDES},
    {"source_of_zeros", source_of_zeros, 0},
    {"source_read_only", source_read_only, 0},
    {"source_private_file", source_private_file, 0},
    {"source_shared", source_shared, 0},
    {"overlap", overlap, 0},
    {"overlap_of_absent", overlap_of_absent, ADV_ELIDES},
    {"onto_itself", onto_itself, ADV_ELIDES},
    {"there_and_back", there_and_back, ADV_ELIDES},
    {"halves_of_one_buffer", halves_of_one_buffer, ADV_ELIDES},
    {NULL, NULL, 0},
};
