// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
// Same-host TCP connections of chosen control groups, joined past TCP. docs/SOCKMAP.md has the reasoning.
//
// Joining. A SYN that reaches a listener of the group is noted (zsm_syns). The connecting end, when it is
// established, joins only if its SYN was; the accepting end only if the connecting end has. Both moments come before
// the program can send or receive on the socket: nothing is queued, and where something is (TCP Fast Open), the
// connection stays as it is.
//
// Order. The kernel reads redirected bytes before those that TCP has queued. So a direction may go from redirection
// to TCP at any time; it comes back only when the receiver has taken every byte that TCP carried and nobody sleeps
// inside tcp_recvmsg, which would not see redirected bytes (zsm_drained).
//
// A direction is written by its sender alone, under the sender's socket lock. The receiver's socket is only looked
// at, by address; its cookie, read before and after, tells whether it still is the same socket.
#include "bpf/vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/sockmap_abi.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum { FAMILY_INET = 2, FAMILY_INET6 = 10 };
enum { LEVEL_SOCKET = 1, LEVEL_TCP = 6 };
enum { OPT_PEEK_OFF = 42, OPT_ZEROCOPY = 60, OPT_REPAIR = 19, OPT_ULP = 31, OPT_INQ = 36 };
enum { ERR_PERM = 1, ERR_NOENT = 2, ERR_NOPROTOOPT = 92, ERR_OPNOTSUPP = 95 };
enum { SHUT_RECEIVE = 1, SHUT_SEND = 2 };
enum { USER_CS = 0x33, WAITERS = 8 };
enum { FLAGS_PLAIN = 0x1 | 0x4000000 | 0x20000000, FLAG_OOB = 0x1 }; // MSG_OOB, MSG_ZEROCOPY, MSG_FASTOPEN

// Set before loading.
const volatile __u32 zsm_limit = 1 << 20;  // bytes that may wait in a receiver's queue
const volatile __u64 zsm_sleeper_func = 0; // address of woken_wake_function; 0: not known

struct zsm_control zsm_control = {.version = ZSM_VERSION};

// What an end knows of itself.
struct zsm_own {
    struct zsm_key peer; // the peer's key
    bool tcp;            // sent through TCP last: not to be redirected before that is read
    bool urgent;         // has sent urgent data: TCP for good
};

struct {
    __uint(type, BPF_MAP_TYPE_SOCKHASH);
    __uint(max_entries, 65536);
    __type(key, struct zsm_key);
    __type(value, __u64);
} zsm_socks SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 65536);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct zsm_key);
    __type(value, struct zsm_conn);
} zsm_conns SEC(".maps");

// SYNs on their way, as the accepting end will see the connection. Those that come to nothing are pushed out.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 8192);
    __type(key, struct zsm_key);
    __type(value, __u32);
} zsm_syns SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct zsm_own);
} zsm_own SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, ZSM_NCOUNTERS);
    __type(key, __u32);
    __type(value, __u64);
} zsm_counters SEC(".maps");

extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym;

#define CAST(type, address) ((type *)bpf_rdonly_cast((const void *)(address), bpf_core_type_id_kernel(type)))

static __always_inline void
count(__u32 id, __u64 n)
{
    __u64 *v = bpf_map_lookup_elem(&zsm_counters, &id);

    if (v)
        *v += n;
}

// --- joining ---

static __always_inline void
fill_key(struct bpf_sock_ops *ops, struct zsm_key *k)
{
    // Read before the branch: the compiler would make one load at a computed place of both, which the verifier refuses.
    __u32 local = ops->local_ip4, remote = ops->remote_ip4;

    barrier_var(local);
    barrier_var(remote);
    __builtin_memset(k, 0, sizeof *k);
    if (ops->family == FAMILY_INET6) {
        k->laddr[0] = ops->local_ip6[0];
        k->laddr[1] = ops->local_ip6[1];
        k->laddr[2] = ops->local_ip6[2];
        k->laddr[3] = ops->local_ip6[3];
        k->raddr[0] = ops->remote_ip6[0];
        k->raddr[1] = ops->remote_ip6[1];
        k->raddr[2] = ops->remote_ip6[2];
        k->raddr[3] = ops->remote_ip6[3];
    } else {
        k->laddr[2] = k->raddr[2] = bpf_htonl(0xffff);
        k->laddr[3] = local;
        k->raddr[3] = remote;
    }
    k->lport = (__u16)ops->local_port;
    k->rport = (__u16)bpf_ntohl(ops->remote_port);
    k->netns = bpf_get_netns_cookie(ops);
}

static __always_inline void
mirror(const struct zsm_key *k, struct zsm_key *m)
{
    __builtin_memset(m, 0, sizeof *m);
    for (int i = 0; i < 4; i++) {
        m->laddr[i] = k->raddr[i];
        m->raddr[i] = k->laddr[i];
    }
    m->lport = k->rport;
    m->rport = k->lport;
    m->netns = k->netns;
}

// May this end join? Nothing sent or received yet, and nothing set that redirection would break.
static __always_inline bool
fit(struct tcp_sock *tp)
{
    const struct inet_connection_sock *icsk = &tp->inet_conn;

    if (tp->write_seq != tp->snd_una || tp->rcv_nxt != tp->copied_seq || tp->syn_data)
        return false;
    if (icsk->icsk_ulp_ops || tp->repair || tp->recvmsg_inq)
        return false;
    if (icsk->icsk_inet.sk.__sk_common.skc_flags & (1UL << SOCK_ZEROCOPY))
        return false;
    return !icsk->icsk_inet.sk.sk_user_data;
}

// Puts the end into the maps. Its peer's entry, or none yet, is the caller's business.
static __always_inline bool
join(struct bpf_sock_ops *ops, struct zsm_key *k, const struct zsm_key *m, bool server)
{
    struct zsm_conn conn = {.family = ops->family, .server = server};
    struct bpf_sock *sk = ops->sk;
    struct zsm_own *own;
    struct tcp_sock *tp;

    if (!sk)
        return false;
    tp = bpf_skc_to_tcp_sock(sk);
    if (!tp || !fit(tp)) {
        count(ZSM_C_refused, 1);
        return false;
    }
    own = bpf_sk_storage_get(&zsm_own, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
    if (!own)
        return false;
    own->peer = *m;
    conn.sock = (__u64)tp;
    conn.cookie = bpf_get_socket_cookie(ops);
    if (bpf_sock_hash_update(ops, &zsm_socks, k, BPF_NOEXIST) != 0)
        return false;
    if (bpf_map_update_elem(&zsm_conns, k, &conn, BPF_ANY) != 0) {
        bpf_map_delete_elem(&zsm_socks, k);
        return false;
    }
    return true;
}

static __always_inline void
callbacks(struct bpf_sock_ops *ops, __u32 on, __u32 off)
{
    // Other programs of the group have set theirs.
    bpf_sock_ops_cb_flags_set(ops, (ops->bpf_sock_ops_cb_flags | on) & ~off);
}

static __always_inline void
connected(struct bpf_sock_ops *ops)
{
    struct zsm_key k, m;

    fill_key(ops, &k);
    mirror(&k, &m);
    if (zsm_control.paused || !bpf_map_lookup_elem(&zsm_syns, &m) || !join(ops, &k, &m, false))
        return;
    // The accepting end decides a moment later. If it does not join, the first round trip shows that.
    callbacks(ops, BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RTT_CB_FLAG, 0);
}

static __always_inline void
accepted(struct bpf_sock_ops *ops)
{
    struct zsm_key k, m;

    fill_key(ops, &k);
    mirror(&k, &m);
    bpf_map_delete_elem(&zsm_syns, &k);
    if (zsm_control.paused || !bpf_map_lookup_elem(&zsm_conns, &m) || !join(ops, &k, &m, true))
        return;
    callbacks(ops, BPF_SOCK_OPS_STATE_CB_FLAG, 0);
    count(ZSM_C_connections, 1);
}

// The connecting end looks whether its peer has joined. If not, nothing was ever redirected to it: it leaves.
static __always_inline void
round_trip(struct bpf_sock_ops *ops)
{
    struct zsm_key k, m;

    fill_key(ops, &k);
    mirror(&k, &m);
    if (!bpf_map_lookup_elem(&zsm_conns, &k))
        return;
    if (!bpf_map_lookup_elem(&zsm_conns, &m)) {
        bpf_map_delete_elem(&zsm_socks, &k);
        bpf_map_delete_elem(&zsm_conns, &k);
        count(ZSM_C_half, 1);
    }
    callbacks(ops, 0, BPF_SOCK_OPS_RTT_CB_FLAG);
}

SEC("sockops")
int
zsm_sockops(struct bpf_sock_ops *ops)
{
    struct bpf_sock *sk;
    struct zsm_key k;
    __u32 one = 1;

    if (ops->family != FAMILY_INET && ops->family != FAMILY_INET6)
        return 1;
    switch (ops->op) {
    case BPF_SOCK_OPS_TIMEOUT_INIT:
        if (!ops->is_fullsock) { // a connection request at a listener
            fill_key(ops, &k);
            bpf_map_update_elem(&zsm_syns, &k, &one, BPF_ANY);
        }
        break;
    case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
        connected(ops);
        break;
    case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
        accepted(ops);
        break;
    case BPF_SOCK_OPS_RTT_CB:
        round_trip(ops);
        break;
    case BPF_SOCK_OPS_STATE_CB:
        // The kernel takes the socket out of zsm_socks itself when it is closed, and not before: its queue may
        // hold bytes.
        sk = ops->sk;
        if (ops->args[1] == BPF_TCP_CLOSE && sk && bpf_sk_storage_get(&zsm_own, sk, 0, 0)) {
            fill_key(ops, &k);
            bpf_map_delete_elem(&zsm_conns, &k);
        }
        break;
    }
    return 1;
}

// --- sending ---

// The flags of the call that is sending; those that cannot be redirected for calls whose flags are not in the
// registers (io_uring, 32-bit programs, the kernel itself). An sk_msg program is not told them.
static __always_inline __u64
call_flags(void)
{
    struct pt_regs *r = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());

    if (r->cs != USER_CS)
        return FLAGS_PLAIN;
    switch (r->orig_ax) {
    case 1:   // write
    case 20:  // writev
    case 40:  // sendfile
    case 275: // splice
    case 328: // pwritev2
        return 0;
    case 44:  // sendto
    case 307: // sendmmsg
        return r->r10;
    case 46: // sendmsg
        return r->dx;
    }
    return FLAGS_PLAIN;
}

// Does nobody sleep in a call on the socket? An entry of epoll has no owner; one of poll(2) or of a sleeper has,
// and its function tells which.
static __always_inline bool
nobody_sleeps(struct socket_wq *wq)
{
    struct list_head *head = &wq->wait.head, *at = head->next;

    for (int i = 0; i < WAITERS; i++) {
        struct wait_queue_entry *e;

        if (at == head)
            return true;
        e = CAST(struct wait_queue_entry, (__u64)at - bpf_core_field_offset(struct wait_queue_entry, entry));
        if (e->private && (!zsm_sleeper_func || (__u64)e->func == zsm_sleeper_func))
            return false;
        at = CAST(struct list_head, e->entry.next);
    }
    return false;
}

// Has the receiver taken all that TCP carried, with nobody left inside tcp_recvmsg? Whoever took the last byte held
// the socket's lock from there until he left, or was on the queue of sleepers; that queue is looked at before
// and after the lock.
static __always_inline bool
zsm_drained(const struct tcp_sock *from, struct tcp_sock *to)
{
    struct sock *sk = &to->inet_conn.icsk_inet.sk;
    struct socket_wq *wq;

    if (*(volatile __u32 *)&to->copied_seq != from->write_seq)
        return false;
    wq = CAST(struct socket_wq, sk->sk_wq);
    return nobody_sleeps(wq) && *(volatile int *)&sk->sk_lock.owned == 0 && nobody_sleeps(wq) &&
           *(volatile int *)&sk->sk_lock.owned == 0;
}

// Why this message cannot be redirected, or ZSM_WHY_none.
static __always_inline enum zsm_reason
judge(struct zsm_own *own, const struct zsm_conn *peer, const struct tcp_sock *from, __u64 flags)
{
    struct tcp_sock *to = CAST(struct tcp_sock, peer->sock);
    struct sock *sk = &to->inet_conn.icsk_inet.sk;
    const struct sock *me = &from->inet_conn.icsk_inet.sk;
    __u64 room;

    if (flags & FLAGS_PLAIN || own->urgent)
        return ZSM_WHY_flags;
    if ((__u64)sk->__sk_common.skc_cookie.counter != peer->cookie)
        return ZSM_WHY_peer;
    if ((me->__sk_common.skc_state != BPF_TCP_ESTABLISHED && me->__sk_common.skc_state != BPF_TCP_CLOSE_WAIT) ||
        (me->sk_shutdown & SHUT_SEND))
        return ZSM_WHY_state;
    if ((sk->__sk_common.skc_state != BPF_TCP_ESTABLISHED && sk->__sk_common.skc_state != BPF_TCP_FIN_WAIT1 &&
         sk->__sk_common.skc_state != BPF_TCP_FIN_WAIT2) ||
        (sk->sk_shutdown & SHUT_RECEIVE) || !sk->sk_socket)
        return ZSM_WHY_state;
    if (sk->sk_rcvlowat > 1 || to->inet_conn.icsk_ulp_ops || from->inet_conn.icsk_ulp_ops)
        return ZSM_WHY_option;
    // A program that set small buffers wants its peer to notice when it does not read.
    room = (__u64)sk->sk_rcvbuf + me->sk_sndbuf;
    if (room > zsm_limit)
        room = zsm_limit;
    if (sk->sk_backlog.rmem_alloc.counter > (__s64)room)
        return ZSM_WHY_backlog;
    if (own->tcp && !zsm_drained(from, to))
        return ZSM_WHY_drain;
    if ((__u64)sk->__sk_common.skc_cookie.counter != peer->cookie)
        return ZSM_WHY_peer;
    return ZSM_WHY_none;
}

static __always_inline int
pass(struct zsm_own *own, struct zsm_conn *peer, enum zsm_reason why, __u32 size)
{
    own->tcp = true;
    if (peer) {
        peer->passed += size;
        peer->why = why;
        peer->last_was_tcp = 1;
    }
    count(ZSM_C_passed_messages, 1);
    count(ZSM_C_passed_bytes, size);
    return SK_PASS;
}

SEC("sk_msg")
int
zsm_send(struct sk_msg_md *msg)
{
    struct bpf_sock *sk = msg->sk;
    __u32 size = msg->size;
    enum zsm_reason why;
    struct zsm_conn *peer;
    struct zsm_own *own;
    struct tcp_sock *tp;
    __u64 flags;

    if (!sk)
        return SK_PASS;
    own = bpf_sk_storage_get(&zsm_own, sk, 0, 0);
    tp = bpf_skc_to_tcp_sock(sk);
    if (!own || !tp)
        return SK_PASS;
    flags = call_flags();
    if (flags & FLAG_OOB)
        own->urgent = true;
    peer = bpf_map_lookup_elem(&zsm_conns, &own->peer);
    if (!peer)
        return pass(own, NULL, ZSM_WHY_peer, size);
    why = zsm_control.paused ? ZSM_WHY_paused : judge(own, peer, tp, flags);
    if (why != ZSM_WHY_none)
        return pass(own, peer, why, size);
    if (bpf_msg_redirect_hash(msg, &zsm_socks, &own->peer, BPF_F_INGRESS) != SK_PASS)
        return pass(own, peer, ZSM_WHY_peer, size);
    if (own->tcp) {
        own->tcp = false;
        peer->last_was_tcp = 0;
        count(ZSM_C_rejoined, 1);
    }
    peer->redirected += size;
    peer->messages++;
    count(ZSM_C_redirected_messages, 1);
    count(ZSM_C_redirected_bytes, size);
    return SK_PASS;
}

// --- looking ---

// Older kernels do not count what waits in a psock; there, the receive memory is the best that is known.
struct sk_psock___counted {
    __u32 msg_tot_len;
} __attribute__((preserve_access_index));

SEC("syscall")
int
zsm_look(struct zsm_view *v)
{
    struct zsm_key k = v->key;
    struct zsm_conn *conn;
    struct tcp_sock *tp;
    struct sock *sk;

    conn = bpf_map_lookup_elem(&zsm_conns, &k);
    if (!conn)
        return 0;
    tp = CAST(struct tcp_sock, conn->sock);
    sk = &tp->inet_conn.icsk_inet.sk;
    v->state = sk->__sk_common.skc_state;
    v->in_tcp = tp->rcv_nxt - tp->copied_seq;
    v->unsent = tp->write_seq - tp->snd_una;
    v->waiting = (__u32)sk->sk_backlog.rmem_alloc.counter;
    if (bpf_core_field_exists(struct sk_psock___counted, msg_tot_len) && sk->sk_user_data) {
        struct sk_psock *psock = CAST(struct sk_psock, (__u64)sk->sk_user_data & ~7ULL);

        v->waiting = psock->msg_tot_len;
    }
    v->alive = (__u64)sk->__sk_common.skc_cookie.counter == conn->cookie;
    return 0;
}

// --- options ---

// Options that the kernel would grant and then not honour on a redirected socket: refused as by a kernel that
// does not have them, so that programs do without (OpenSSL encrypts itself, senders copy).
SEC("cgroup/setsockopt")
int
zsm_setsockopt(struct bpf_sockopt *ctx)
{
    struct bpf_sock *sk = ctx->sk;
    int err = 0;

    if (!sk || !bpf_sk_storage_get(&zsm_own, sk, 0, 0))
        return 1;
    if (ctx->level == LEVEL_SOCKET && (ctx->optname == OPT_ZEROCOPY || ctx->optname == OPT_PEEK_OFF))
        err = ERR_OPNOTSUPP;
    else if (ctx->level == LEVEL_TCP && ctx->optname == OPT_ULP)
        err = ERR_NOENT;
    else if (ctx->level == LEVEL_TCP && ctx->optname == OPT_REPAIR)
        err = ERR_PERM;
    else if (ctx->level == LEVEL_TCP && ctx->optname == OPT_INQ)
        err = ERR_NOPROTOOPT;
    if (!err)
        return 1;
    count(ZSM_C_options_refused, 1);
    bpf_set_retval(-err);
    return 0;
}
