// SPDX-License-Identifier: Apache-2.0
// What the bench and its workers (the same binary, re-executed) say to each other over a SOCK_SEQPACKET pair.
// One request, one reply. Both ends are one build, so there is no version.
#ifndef ZIO_BENCH_WIRE_H
#define ZIO_BENCH_WIRE_H

#include <stdint.h>

enum {
    WORKER_CTL_FD = 3,  // the control socket
    WORKER_DATA_FD = 4, // the data socket, where the kind has one
};

enum wkind { WK_COPY = 1, WK_ECHO, WK_ALLOC, WK_MICRO, WK_TABLE, WK_FS, WK_SOCK };

enum wop {
    WOP_SETUP = 1, // kind and parameters; once
    WOP_VERIFY,    // run a few operations with this seed and check the bytes
    WOP_SLICE,     // run operations for slice_ns and report ops and ns
};

enum wdest { WD_HOT, WD_MALLOC, WD_MMAP, WD_ABSENT, WD_COUNT };
enum wtouch { WT_NONE, WT_FIRST, WT_HALF, WT_ALL, WT_COUNT };
enum wsource { WS_STABLE, WS_REWRITE, WS_RECV };
enum wsend { WSEND_WRITE, WSEND_SEND, WSEND_WRITEV };
enum wrecv { WRECV_LOOP, WRECV_WAITALL, WRECV_READ };
enum tmethod { TM_READ_WRITE, TM_MMAP_WRITE, TM_SENDFILE, TM_SPLICE, TM_VMSPLICE, TM_ZEROCOPY, TM_COUNT };

// fs: what a slice does, in the way's directory.
enum fsop {
    FSOP_READ = 1,  // 4 KiB at random places of a large file
    FSOP_SEQ_READ,  // the large file from its start to its end
    FSOP_SEQ_WRITE, // a new file of that size, and fsync
    FSOP_OPEN,      // open, read 4 KiB, close
    FSOP_STAT,
    FSOP_CREATE,     // open with O_CREAT and O_EXCL, close
    FSOP_UNLINK,     // of empty files
    FSOP_SMALL,      // create, write 4 KiB, close
    FSOP_SMALL_SYNC, // with an fsync before the close
    FSOP_MANY,       // create the names first .. first + count - 1 in one directory; no slice_ns
    FSOP_LOOKUP,     // stat of random ones of the first `count` of them
    FSOP_LIST,       // read that directory from start to end; aux[0]: ns until the first name was there
    FSOP_REMOVE,     // remove the tree `path` with all below it: aux[0] files' bytes
};

struct wreq {
    uint32_t op;       // enum wop
    uint32_t kind;     // enum wkind
    uint64_t size;     // bytes of a message or a copy
    uint64_t slice_ns; // WOP_SLICE: for how long
    uint64_t seed;     // WOP_VERIFY
    uint64_t skew;     // echo: bytes
    uint32_t ring;     // echo: receive buffers that take turns, 1 to 16
    uint32_t dest;     // copy: enum wdest
    uint32_t touch;    // copy: enum wtouch
    uint32_t source;   // copy, alloc: enum wsource
    uint32_t copies;   // echo; table
    uint32_t fresh;    // echo: copies go to memory allocated for each message
    uint32_t send;     // echo: enum wsend; alloc: whether the copy is sent
    uint32_t recv;     // echo: enum wrecv
    uint32_t pages;    // echo: pages of the last copy that are read before it is sent
    uint32_t spread;   // echo: those pages are spread over the message, not its first ones; sock: a stream
    uint32_t method;   // table: enum tmethod; fs: enum fsop
    uint32_t threads;  // fs: how many read at once
    uint32_t direct;   // fs: with O_DIRECT
    uint64_t first;    // fs: FSOP_MANY; sock: the other end's CPU
    uint64_t count;    // fs: FSOP_MANY, FSOP_LOOKUP; sock: this end's CPU
    char path[400];    // table: the file; fs: the directory to work in
    char url[400];     // fs: the volume, where the worker goes to it through libfsclient
};

struct wrep {
    int32_t err;     // 0, or an errno value
    uint64_t ops;    // operations done
    uint64_t ns;     // time they took
    uint64_t aux[4]; // table: system calls, context switches, CPU ns, per cent of MSG_ZEROCOPY sends that
                     // were copied
    char text[160];  // what went wrong
};

#endif
