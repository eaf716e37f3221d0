// SPDX-License-Identifier: Apache-2.0
// What the BPF programs and their loader share: the forms of the maps. Included by both, so fixed-width types only;
// <linux/types.h> or vmlinux.h comes first.
#ifndef ZIO_BPF_SOCKMAP_ABI_H
#define ZIO_BPF_SOCKMAP_ABI_H

// Changes whenever a form below does; programs that are pinned are asked for it before anything else.
#define ZSM_VERSION 1

// The programs' one word with those who switch them.
struct zsm_control {
    __u32 version; // ZSM_VERSION
    __u32 paused;  // 1: no connection joins, nothing is redirected
};

// One end of a connection, seen from that end. IPv4 addresses are kept as ::ffff:a.b.c.d, so that an IPv6 socket
// that talks to an IPv4 one has the same key.
struct zsm_key {
    __u32 laddr[4], raddr[4]; // network byte order
    __u16 lport, rport;       // host byte order
    __u32 pad;
    __u64 netns; // cookie of the network namespace
};

// A joined end. Owned by the end itself from joining to TCP_CLOSE; `redirected` and `passed` are written by its
// peer as it sends.
struct zsm_conn {
    __u64 sock;             // struct tcp_sock in the kernel; only believed while its cookie is `cookie`
    __u64 cookie;           // socket cookie: never used twice
    __u64 redirected;       // bytes that came past TCP
    __u64 passed;           // bytes that came through TCP although both ends had joined
    __u64 messages;         // redirected messages
    __u32 family;           // AF_INET or AF_INET6, as the program opened it
    __u32 server;           // 1: the accepting end
    __u32 why;              // the last reason (enum zsm_reason) for the way through TCP
    __u32 last_was_tcp;     // 1: what its peer sends goes through TCP now
};

// What an end's socket looks like now (the program zsm_look fills it in).
struct zsm_view {
    struct zsm_key key; // asked for
    __u32 alive;        // 0: not joined, or the socket is gone
    __u32 state;        // TCP state
    __u32 waiting;      // redirected bytes that the program has not read
    __u32 in_tcp;       // bytes that TCP holds for the program
    __u32 unsent;       // bytes that the program has sent through TCP and that have not been acknowledged
    __u32 pad;
};

// X(id, help): why bytes of a joined connection go through TCP.
#define ZSM_REASONS(X)                                                                                               \
    X(none, "never")                                                                                                 \
    X(peer, "the other end has not joined, or has left")                                                             \
    X(paused, "redirection is being switched off")                                                                   \
    X(flags, "urgent data, MSG_ZEROCOPY or a call whose flags cannot be seen")                                       \
    X(state, "an end is closing")                                                                                    \
    X(option, "SO_RCVLOWAT or an upper layer protocol")                                                              \
    X(backlog, "the reader is slow")                                                                                 \
    X(drain, "bytes that went through TCP have not been read yet")

enum zsm_reason {
#define X(id, help) ZSM_WHY_##id,
    ZSM_REASONS(X)
#undef X
        ZSM_NREASONS
};

// X(id, help): counters of the whole set, summed over CPUs.
#define ZSM_COUNTERS(X)                                                                                              \
    X(connections, "connections joined (both ends)")                                                                 \
    X(half, "ends that joined and left, as their peer did not")                                                      \
    X(refused, "connections not joined: an option, an upper layer protocol or early data")                           \
    X(redirected_messages, "messages redirected")                                                                    \
    X(redirected_bytes, "bytes redirected")                                                                          \
    X(passed_messages, "messages of joined connections through TCP")                                                 \
    X(passed_bytes, "bytes of joined connections through TCP")                                                       \
    X(rejoined, "directions that came back from TCP")                                                                \
    X(options_refused, "socket options refused on joined sockets")

enum zsm_counter {
#define X(id, help) ZSM_C_##id,
    ZSM_COUNTERS(X)
#undef X
        ZSM_NCOUNTERS
};

#endif
