// SPDX-License-Identifier: Apache-2.0
// What the BPF programs and their loader share: the forms of the maps. Included by both, so fixed-width types
// only; <linux/bpf.h> or vmlinux.h comes first.
#ifndef ZIO_BPF_SOCKMAP_ABI_H
#define ZIO_BPF_SOCKMAP_ABI_H

// Changes whenever a form below does; programs that are pinned are asked for it before anything else.
#define ZSM_VERSION 1

// The programs' one word with those who switch them.
struct zsm_control {
    __u32 version; // ZSM_VERSION
    __u32 paused;  // 1: no connection joins, nothing is redirected
};

// One end of a connection, seen from that end. IPv4 addresses are kept as ::ffff:a.b.c.d, so that an IPv6
// socket that talks to an IPv4 one has the same key.
struct zsm_key {
    __u32 laddr[4], raddr[4]; // network byte order
    __u16 lport, rport;       // host byte order
    __u32 pad;
    __u64 netns; // cookie of the network namespace
};

// A joined end. Owned by the end itself from joining to leaving; the counters are written by its peer as it
// sends.
struct zsm_conn {
    struct bpf_timer timer; // looks whether the end can leave
    __u64 sock;             // struct tcp_sock in the kernel; only believed while its cookie is `cookie`
    __u64 cookie;           // socket cookie: never used twice
    __u64 redirected;       // bytes that came past TCP
    __u64 passed;           // bytes that came through TCP although both ends had joined
    __u64 messages;         // redirected messages
    __u64 streak;           // bytes since it was last seen that this end answers
    __u64 answers;          // its peer's `messages` then
    __u32 family;           // AF_INET or AF_INET6, as the program opened it
    __u32 server;           // 1: the accepting end
    __u32 leaving;          // 1: the connection goes back to TCP; nothing is redirected to this end any more
    __u32 why;              // enum zsm_reason for that
    __u32 looks;            // how often the timer found that the end cannot leave yet
    __u32 sender;           // thread that sends to this end; 0: none has
    __u32 many;             // 1: several do
    __u32 quiet;            // 1: the one sender has come again after its last redirected message
};

// X(id, help): why a connection goes back to TCP.
#define ZSM_REASONS(X)                                                                                       \
    X(none, "it does not")                                                                                   \
    X(peer, "the other end has not joined, or has left")                                                     \
    X(paused, "redirection is being switched off")                                                           \
    X(flags, "urgent data, MSG_ZEROCOPY or a call whose flags cannot be seen")                               \
    X(state, "an end is closing")                                                                            \
    X(option, "SO_RCVLOWAT or an upper layer protocol")                                                      \
    X(backlog, "much is sent that is not read, and TCP makes the sender wait")                               \
    X(stream, "much is sent with no answer, which TCP does as fast")

enum zsm_reason {
#define X(id, help) ZSM_WHY_##id,
    ZSM_REASONS(X)
#undef X
        ZSM_NREASONS
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

// X(id, help): counters of the whole set, summed over CPUs.
#define ZSM_COUNTERS(X)                                                                                      \
    X(connections, "connections joined (both ends)")                                                         \
    X(left, "ends that went back to TCP")                                                                    \
    X(refused, "connections not joined: an option, an upper layer protocol or early data")                   \
    X(redirected_messages, "messages redirected")                                                            \
    X(redirected_bytes, "bytes redirected")                                                                  \
    X(passed_messages, "messages through TCP while a connection goes back to it")                            \
    X(passed_bytes, "bytes of those")                                                                        \
    X(options_refused, "socket options refused on joined sockets")

enum zsm_counter {
#define X(id, help) ZSM_C_##id,
    ZSM_COUNTERS(X)
#undef X
        ZSM_NCOUNTERS
};

#endif
