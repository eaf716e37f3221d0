// SPDX-License-Identifier: Apache-2.0
// Streams over routed descriptors. stdio reads and writes from inside the C library, so that a stream of ours
// is one of fopencookie's, with the descriptor as its number: the buffering, the locks, the formats are the C
// library's, the bytes go through our hooks. Whatever the descriptor becomes (dup2, a native file), the
// stream follows.
#ifndef ZIO_HOOKS_FS_STDIO_H
#define ZIO_HOOKS_FS_STDIO_H

#include <stdio.h>

#include "libzio/hooks_fs.h"

// glibc's libioP.h (struct _IO_cookie_file): behind the public FILE its table, then what fopencookie keeps.
struct cookie_file {
    FILE file;
    const void *vtable;
    void *cookie;
    cookie_io_functions_t io;
};

// glibc's libio.h: bits of FILE._flags.
enum {
    F_USER_BUF = 0x1,
    F_UNBUFFERED = 0x2,
    F_NO_READS = 0x4,
    F_NO_WRITES = 0x8,
    F_EOF_SEEN = 0x10,
    F_ERR_SEEN = 0x20,
    F_LINE_BUF = 0x200,
    F_PUTTING = 0x800,
    F_APPENDING = 0x1000,
    F_MAGIC = 0xfbad0000u & 0x7fffffff,
};

// What a mode means to open(2), and its plain form ("r", "w+", ...) for fopencookie.
struct stream_mode {
    int flags;
    char plain[3];
    bool ccs; // "...,ccs=NAME": wide characters of that encoding
};
bool stream_mode_parse(const char *mode, struct stream_mode *m);

bool stream_is_ours(FILE *fp);
void stream_fresh(FILE *fp,
                  const struct stream_mode *m); // as after fopen: no bytes, no errors, default buffering
int stream_adopt(FILE *fp,
                 const struct stream_mode *m); // a plain stream of the C library's becomes ours; 0 or -errno

// hooks_fs_stdio_std.c
void std_stream_closed(FILE *fp); // the program closes a stream of ours: is it one of the three?

#endif
