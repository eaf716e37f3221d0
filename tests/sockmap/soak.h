// SPDX-License-Identifier: Apache-2.0
// Random programs over the two ends of a TCP connection, made from a seed alone. Each prints what it saw:
// results, errors, and a checksum of every byte. Run plain and under `zio run --sockmap`, the output must be
// the same.
#ifndef ZIO_TESTS_SOCKMAP_SOAK_H
#define ZIO_TESTS_SOCKMAP_SOAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { BIG = 3 << 20, DEADLINE_MS = 20000 };

// One end, and what is known of the bytes on their way to it.
struct end {
    int fd;
    bool nonblock, fin_sent, fin_seen;
    uint64_t sent;    // bytes that it has sent
    uint64_t got;     // bytes that it has received
    struct end *peer; // whose `sent` minus our `got` is waiting for us
};

struct prog {
    uint64_t rng;
    struct end end[2];
    unsigned char *buf; // BIG bytes
    int file;           // what sendfile sends
    off_t file_at;      // where it was not written to yet
};

// --- soak.c ---
uint64_t draw(struct prog *p, uint64_t below);
__attribute__((format(printf, 1, 2))) void say(const char *fmt, ...);
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *fmt, ...);
// Errors by name, as errno's numbers say little.
const char *name_of(int err);
uint64_t sum(const unsigned char *b, size_t n);
// Fills b with the bytes that `e` sends next.
void fill(const struct end *e, unsigned char *b, size_t n);
uint64_t waiting(const struct end *e);
// Waits until all that was sent to `e` is there to be read.
void settle(struct end *e);

// --- soak_ops.c ---
struct op {
    const char *name;
    void (*run)(struct prog *p, struct end *e);
};
extern const struct op ops[];
extern const unsigned nops;
// The ways in which a program ends.
extern const struct op ends[];
extern const unsigned nends;

// --- soak_many.c: whole cases that need processes, or many connections ---
int many_main(const char *which, uint64_t seed);

// A connected pair over loopback: family 0 IPv4, 1 IPv6, 2 IPv4 to an IPv6 socket. `small`: tiny buffers on
// both.
void make_pair(int fd[2], int family, bool small);

#endif
