// SPDX-License-Identifier: Apache-2.0
// The counters of a process under libzio: one table for the enum, the names that people and programs read,
// and the text that explains them. Owned by libzio/stats.c; read by `zio stat` and by the tests.
//
// X(id, unit, help): unit is "n" (events), "bytes" (a running sum), "pages" (4 KiB, a running sum) or "gauge"
// (bytes now).
#ifndef ZIO_COMMON_COUNTERS_H
#define ZIO_COMMON_COUNTERS_H

#define ZIO_COUNTERS(X)                                                                                      \
    X(copies_seen, "n", "copies of at least the threshold")                                                  \
    X(copy_bytes_seen, "bytes", "bytes of those copies")                                                     \
    X(copies_elided, "n", "copies of which at least one page was not copied")                                \
    X(copy_bytes_elided, "bytes", "bytes that were not copied")                                              \
    X(copies_policy_plain, "n", "copies done plainly because the cost model said so")                        \
    X(copies_fallback_plain, "n", "copies done plainly because elision was impossible")                      \
    X(recv_block_calls, "n", "receives and reads that went straight into a block")                           \
    X(recv_block_bytes, "bytes", "bytes received straight into blocks")                                      \
    X(send_block_calls, "n", "sends and writes that took bytes straight from blocks")                        \
    X(send_block_bytes, "bytes", "bytes sent straight from blocks")                                          \
    X(faults, "n", "page faults that zIO resolved")                                                          \
    X(fault_pages_moved, "pages", "pages resolved by moving a block's page into place")                      \
    X(fault_pages_copied, "pages", "pages resolved by copying out of a block")                               \
    X(fault_pages_zeroed, "pages", "pages resolved with zeros")                                              \
    X(pages_stolen, "pages", "source or destination pages taken out of the program's memory into blocks")    \
    X(pages_unshared, "pages",                                                                               \
      "pages made the process's own again after a fork, so that they could be taken out")                    \
    X(materialised_bytes, "bytes", "absent bytes put back because a call needed them in memory")             \
    X(uffd_events, "n", "unmap, remap and remove events")                                                    \
    X(forks, "n", "forks with absent memory handed over")                                                    \
    X(arena_allocs, "n", "large allocations served from the arena")                                          \
    X(arena_bytes, "gauge", "bytes of the arena's live allocations")                                         \
    X(arena_cached_bytes, "gauge", "present bytes kept in the arena's free slots")                           \
    X(block_bytes, "gauge", "bytes of live blocks")                                                          \
    X(pool_free_bytes, "gauge", "present bytes kept in the pool's free runs")                                \
    X(absent_bytes, "gauge", "bytes of the program's memory that are absent now")                            \
    X(areas, "gauge", "registered memory areas (a count, not bytes)")                                        \
    X(enomem, "n", "times memory for zIO itself could not be had; each fell back to a plain copy")           \
    X(route_opens, "n", "files opened in volumes")                                                           \
    X(route_reads, "n", "reads of files in volumes")                                                         \
    X(route_read_bytes, "bytes", "bytes of those reads")                                                     \
    X(route_writes, "n", "writes to files in volumes")                                                       \
    X(route_write_bytes, "bytes", "bytes of those writes")                                                   \
    X(route_refused, "n", "calls on files in volumes that zIO cannot do and refused")

enum zio_counter {
#define X(id, unit, help) ZIO_C_##id,
    ZIO_COUNTERS(X)
#undef X
        ZIO_C_COUNT
};

#endif
