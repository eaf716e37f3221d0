// SPDX-License-Identifier: Apache-2.0
// The checks of `zio doctor`: each looks at one thing that libzio.so needs or uses, by trying it.
#ifndef ZIO_CLI_PROBE_H
#define ZIO_CLI_PROBE_H

#include <stdbool.h>
#include <stdint.h>

enum probe_status {
    PROBE_OK,
    PROBE_DEGRADED, // zIO works without it, less well
    PROBE_MISSING,
};

struct probe {
    enum probe_status status;
    char why[256];  // what was found, one line
    char mend[320]; // the command that mends it, "" if nothing needs mending or nothing can
};

// X(id, kernel, needed, title): kernel is the oldest Linux that has it ("-": any); needed says whether copies
// are elided at all without it. probe_ID() fills the answer. In the order of the report.
#define PROBES(X)                                                                                            \
    X(kernel, "5.7", true, "Linux kernel")                                                                   \
    X(uffd, "4.3", true, "userfaultfd")                                                                      \
    X(kernelfaults, "4.3", true, "faults of the kernel resolved")                                            \
    X(wp, "5.7", false, "write protection (UFFD_FEATURE_PAGEFAULT_FLAG_WP)")                                 \
    X(move, "6.8", false, "pages moved into place (UFFDIO_MOVE)")                                            \
    X(events, "4.11", false, "unmap, remap, remove events")                                                  \
    X(forkevent, "4.11", false, "fork events")                                                               \
    X(threadid, "4.14", false, "thread ids in fault messages")                                               \
    X(pagemapscan, "6.7", false, "PAGEMAP_SCAN")                                                             \
    X(procmapquery, "6.11", false, "PROCMAP_QUERY")                                                          \
    X(populatewrite, "5.14", false, "MADV_POPULATE_WRITE")                                                   \
    X(memfd, "3.17", true, "memfd_create")                                                                   \
    X(pidfd, "5.3", false, "pidfd_open")                                                                     \
    X(addrspace, "-", true, "address space limit (RLIMIT_AS)")                                               \
    X(overcommit, "-", false, "memory overcommit")                                                           \
    X(seccomp, "-", false, "system call filter")                                                             \
    X(thp, "-", false, "transparent huge pages")                                                             \
    X(cgroup, "-", false, "memory limit of the control group")                                               \
    X(fslibrary, "-", false, "file system: libfsclient.so, for zio run --fs")                                \
    X(fuse, "2.6.14", false, "file system: FUSE, for zio mount")                                             \
    X(sockmap, "6.2", false, "sockmap: the programs of zio run --sockmap")                                   \
    X(library, "-", true, "libzio.so, tried on a real copy")

#define X(id, kernel, needed, title) void probe_##id(struct probe *p);
PROBES(X)
#undef X

// Fills an answer; `mend` may be "".
void probe_say(struct probe *p, enum probe_status status, const char *mend, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
