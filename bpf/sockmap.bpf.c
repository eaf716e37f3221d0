// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
// Same-host TCP connections of chosen control groups, joined past TCP. docs/SOCKMAP.md has the reasoning.
//
// Joining. A SYN that reaches a listener of the group is noted (zsm_syns). The connecting end, when it is
// established, joins only if its SYN was; the accepting end only if the connecting end has. Both moments come
// before the program can send or receive on the socket: nothing is queued, and where something is (TCP Fast
// Open), the connection stays as it is.
//
// Order. The kernel reads redirected bytes before those that TCP has queued. So a connection may go back to
// TCP at any time, and never comes again: redirected bytes would overtake what TCP still holds.
//
// Leaving. Whoever sends marks both ends. A timer then takes each out of the map, which makes it an ordinary
// socket again: when nothing waits in its queue, and its peer is in no call that could still be putting
// something there.
//
// The receiver's socket is only looked at, by address; its cookie, read before and after, tells whether it
// still is the same socket.
#include "bpf/vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/sockmap_abi.h"
#include "common/sockmap.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum { FAMILY_INET = 2, FAMILY_INET6 = 10 };
enum { LEVEL_SOCKET = 1, LEVEL_TCP = 6 };
enum { OPT_PEEK_OFF = 42, OPT_ZEROCOPY = 60, OPT_REPAIR = 19, OPT_ULP = 31, OPT_INQ = 36 };
enum { ERR_PERM = 1, ERR_NOENT = 2, ERR_NOPROTOOPT = 92, ERR_OPNOTSUPP = 95 };
enum { SHUT_RECEIVE = 1, SHUT_SEND = 2 };
enum { USER_CS = 0x33, MONOTONIC = 1 };
enum { FIRST_LOOK_NS = 20000000, NEXT_LOOK_NS = 2000000, SELDOM_NS = 200000000, OFTEN = 100 };
enum { FLAGS_PLAIN = 0x1 | 0x4000000 | 0x20000000 }; // MSG_OOB, MSG_ZEROCOPY, MSG_FASTOPEN

// Set before loading.
// Bytes that may wait in a receiver's queue, and that may be sent with no answer. TCP works in parallel with
// sender and receiver on long runs of bytes, which redirection does not.
const volatile __u32 zsm_limit = 512 << 10;

struct zsm_control zsm_control = {.version = ZSM_VERSION};

// What an end knows of itself.
struct zsm_own {
    struct zsm_key me, peer;
    bool tcp; // sends through TCP, for good
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

// --- keys ---

static __always_inline void
fill_key(struct bpf_sock_ops *ops, struct zsm_key *k)
{
    // Read before the branch: the compiler would make one load at a computed place of both, which the
    // verifier refuses.
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

// --- leaving ---

#define TCP_OF(conn) CAST(struct tcp_sock, (conn)->sock)

static __always_inline bool
same_socket(const struct zsm_conn *conn)
{
    struct sock *sk = &TCP_OF(conn)->inet_conn.icsk_inet.sk;

    return (__u64)sk->__sk_common.skc_cookie.counter == conn->cookie &&
           sk->__sk_common.skc_refcnt.refs.counter > 0;
}

static __always_inline bool
has_psock(const struct zsm_conn *conn)
{
    return TCP_OF(conn)->inet_conn.icsk_inet.sk.sk_user_data;
}

static __always_inline struct sk_psock *
psock_of(const struct zsm_conn *conn)
{
    struct sock *sk = &TCP_OF(conn)->inet_conn.icsk_inet.sk;

    // The lowest bits are flags.
    return CAST(struct sk_psock, (__u64)sk->sk_user_data & ~7ULL);
}

// Does nothing wait in the end's queue? The list's head is its own neighbour then.
static __always_inline bool
queue_empty(const struct zsm_conn *conn)
{
    struct sk_psock *p = psock_of(conn);

    return !has_psock(conn) ||
           (__u64)p->ingress_msg.next == (__u64)p + bpf_core_field_offset(struct sk_psock, ingress_msg);
}

// Is nothing on its way into the end's queue? The verdict on a message comes before the message is queued.
// Nobody ever sent; or the only sender has been here again; or no thread is in a call on the sender's socket
// (each holds a reference, beside the map's own); or five seconds have passed. `conn` is marked, so nothing
// new is coming.
static __always_inline bool
nothing_coming(const struct zsm_conn *conn, const struct zsm_conn *peer)
{
    if (!conn->sender || conn->quiet || conn->looks > OFTEN + 25)
        return true;
    return !same_socket(peer) || psock_of(peer)->refcnt.refs.counter == 1;
}

static int
try_to_leave(void *map, struct zsm_key *k, struct zsm_conn *conn)
{
    struct zsm_conn *peer;
    struct zsm_key m, key = *k;

    mirror(&key, &m);
    peer = bpf_map_lookup_elem(&zsm_conns, &m);
    if (!same_socket(conn)) {
        bpf_map_delete_elem(&zsm_conns, &key);
        return 0;
    }
    // Looked at once, a moment after joining: has the other end joined, too?
    if (peer && !conn->leaving)
        return 0;
    // Pairs with the exchange in zsm_send: either the sender sees the mark, or we see the sender.
    __sync_lock_test_and_set(&conn->leaving, 1);
    if (peer)
        peer->leaving = 1;
    if ((peer && !nothing_coming(conn, peer)) || !queue_empty(conn))
        goto later;
    bpf_map_delete_elem(&zsm_socks, &key);
    bpf_map_delete_elem(&zsm_conns, &key);
    count(ZSM_C_left, 1);
    return 0;
later:
    // A program that does not read for long is looked at seldom.
    bpf_timer_start(&conn->timer, ++conn->looks < OFTEN ? NEXT_LOOK_NS : SELDOM_NS, 0);
    return 0;
}

// --- joining ---

// Puts the end into the maps. Whether its peer is there is the caller's business.
static __always_inline bool
join(struct bpf_sock_ops *ops, struct zsm_key *k, const struct zsm_key *m, bool server)
{
    struct zsm_conn fresh = {.family = ops->family, .server = server}, *conn;
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
    own->me = *k;
    own->peer = *m;
    fresh.sock = (__u64)tp;
    fresh.cookie = bpf_get_socket_cookie(ops);
    if (bpf_map_update_elem(&zsm_conns, k, &fresh, BPF_ANY) != 0)
        return false;
    conn = bpf_map_lookup_elem(&zsm_conns, k);
    if (!conn || bpf_timer_init(&conn->timer, &zsm_conns, MONOTONIC) != 0 ||
        bpf_timer_set_callback(&conn->timer, try_to_leave) != 0 ||
        bpf_sock_hash_update(ops, &zsm_socks, k, BPF_NOEXIST) != 0) {
        bpf_map_delete_elem(&zsm_conns, k);
        return false;
    }
    // Other programs of the group have set their flags.
    bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
    bpf_timer_start(&conn->timer, FIRST_LOOK_NS, 0);
    return true;
}

static __always_inline void
connected(struct bpf_sock_ops *ops)
{
    struct zsm_key k, m;

    fill_key(ops, &k);
    mirror(&k, &m);
    if (!zsm_control.paused && bpf_map_lookup_elem(&zsm_syns, &m))
        join(ops, &k, &m, false);
}

static __always_inline void
accepted(struct bpf_sock_ops *ops)
{
    struct zsm_key k, m;

    fill_key(ops, &k);
    mirror(&k, &m);
    bpf_map_delete_elem(&zsm_syns, &k);
    if (!zsm_control.paused && bpf_map_lookup_elem(&zsm_conns, &m) && join(ops, &k, &m, true))
        count(ZSM_C_connections, 1);
}

SEC("sockops")
int
zsm_sockops(struct bpf_sock_ops *ops)
{
    struct zsm_conn *conn;
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
    case BPF_SOCK_OPS_STATE_CB:
        // Where the program has closed the socket, the kernel has taken it out of zsm_socks. Else its queue
        // may hold bytes.
        sk = ops->sk;
        if (ops->args[1] == BPF_TCP_CLOSE && sk && bpf_sk_storage_get(&zsm_own, sk, 0, 0)) {
            fill_key(ops, &k);
            conn = bpf_map_lookup_elem(&zsm_conns, &k);
            if (conn && has_psock(conn)) {
                conn->leaving = 1;
                bpf_timer_start(&conn->timer, NEXT_LOOK_NS, 0);
            } else {
                bpf_map_delete_elem(&zsm_conns, &k);
            }
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

// Why the connection goes back to TCP, or ZSM_WHY_none.
static __always_inline enum zsm_reason
judge(const struct zsm_conn *peer, const struct tcp_sock *from, __u64 flags)
{
    struct tcp_sock *to = TCP_OF(peer);
    struct sock *sk = &to->inet_conn.icsk_inet.sk;
    const struct sock *me = &from->inet_conn.icsk_inet.sk;
    __u64 room;

    if (peer->leaving)
        return ZSM_WHY_peer;
    if (zsm_control.paused)
        return ZSM_WHY_paused;
    if (flags & FLAGS_PLAIN)
        return ZSM_WHY_flags;
    if ((me->__sk_common.skc_state != BPF_TCP_ESTABLISHED &&
         me->__sk_common.skc_state != BPF_TCP_CLOSE_WAIT) ||
        (me->sk_shutdown & SHUT_SEND))
        return ZSM_WHY_state;
    if ((sk->__sk_common.skc_state != BPF_TCP_ESTABLISHED && sk->__sk_common.skc_state != BPF_TCP_FIN_WAIT1 &&
         sk->__sk_common.skc_state != BPF_TCP_FIN_WAIT2) ||
        (sk->sk_shutdown & SHUT_RECEIVE) || (sk->__sk_common.skc_flags & (1UL << SOCK_DEAD)))
        return ZSM_WHY_state;
    if (sk->sk_rcvlowat > 1 || to->inet_conn.icsk_ulp_ops || from->inet_conn.icsk_ulp_ops)
        return ZSM_WHY_option;
    // A program that set small buffers wants its peer to notice when it does not read.
    room = (__u64)sk->sk_rcvbuf + me->sk_sndbuf;
    if (room > zsm_limit)
        room = zsm_limit;
    if (sk->sk_backlog.rmem_alloc.counter > (__s64)room)
        return ZSM_WHY_backlog;
    return same_socket(peer) ? ZSM_WHY_none : ZSM_WHY_peer;
}

// Has more than the limit gone one way since the receiver last answered? Its answers are looked at each time
// the limit is reached, so between once and twice the limit is what it takes.
static __always_inline bool
is_stream(const struct zsm_own *own, struct zsm_conn *peer, __u32 size)
{
    struct zsm_conn *me;

    peer->streak += size;
    if (peer->streak <= zsm_limit)
        return false;
    me = bpf_map_lookup_elem(&zsm_conns, &own->me);
    if (!me || me->messages == peer->answers)
        return true;
    peer->answers = me->messages;
    peer->streak = size;
    return false;
}

static __always_inline int
leave(struct zsm_own *own, struct zsm_conn *peer, enum zsm_reason why)
{
    struct zsm_conn *me = bpf_map_lookup_elem(&zsm_conns, &own->me);

    own->tcp = true;
    if (me) {
        if (!me->leaving)
            me->why = why;
        me->leaving = 1;
        bpf_timer_start(&me->timer, NEXT_LOOK_NS, 0);
    }
    if (peer) {
        if (!peer->leaving)
            peer->why = why;
        peer->leaving = 1;
        bpf_timer_start(&peer->timer, NEXT_LOOK_NS, 0);
    }
    return SK_PASS;
}

SEC("sk_msg")
int
zsm_send(struct sk_msg_md *msg)
{
    struct bpf_sock *sk = msg->sk;
    __u32 size = msg->size, thread = (__u32)bpf_get_current_pid_tgid();
    struct zsm_conn *peer;
    enum zsm_reason why;
    struct zsm_own *own;
    struct tcp_sock *tp;

    if (!sk)
        return SK_PASS;
    own = bpf_sk_storage_get(&zsm_own, sk, 0, 0);
    tp = bpf_skc_to_tcp_sock(sk);
    if (!own || !tp)
        return SK_PASS;
    peer = bpf_map_lookup_elem(&zsm_conns, &own->peer);
    if (!own->tcp) {
        if (peer && peer->sender != thread && __sync_lock_test_and_set(&peer->sender, thread))
            peer->many = 1;
        why = peer ? judge(peer, tp, call_flags()) : ZSM_WHY_peer;
        if (why == ZSM_WHY_none && is_stream(own, peer, size))
            why = ZSM_WHY_stream;
        if (why == ZSM_WHY_none &&
            bpf_msg_redirect_hash(msg, &zsm_socks, &own->peer, BPF_F_INGRESS) == SK_PASS) {
            peer->redirected += size;
            peer->messages++;
            count(ZSM_C_redirected_messages, 1);
            count(ZSM_C_redirected_bytes, size);
            return SK_PASS;
        }
        leave(own, peer, why == ZSM_WHY_none ? ZSM_WHY_peer : why);
    }
    if (peer) {
        peer->passed += size;
        if (!peer->many && peer->sender == thread)
            peer->quiet = 1;
    }
    count(ZSM_C_passed_messages, 1);
    count(ZSM_C_passed_bytes, size);
    return SK_PASS;
}

// --- looking ---

// Older kernels do not count what waits in a psock; there, the receive memory is the best that is known.
struct sk_psock___counted {
    __u32 msg_tot_len;
} __attribute__((preserve_access_index));

static __always_inline __u32
redirected_unread(const struct zsm_conn *conn)
{
    struct sock *sk = &TCP_OF(conn)->inet_conn.icsk_inet.sk;

    if (bpf_core_field_exists(struct sk_psock___counted, msg_tot_len) && sk->sk_user_data)
        return psock_of(conn)->msg_tot_len;
    return (__u32)sk->sk_backlog.rmem_alloc.counter;
}

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
    v->waiting = redirected_unread(conn);
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

// Unread bytes, redirected ones and TCP's. The end of a connection takes a sequence number, and is no byte.
static __always_inline int
unread(const struct zsm_conn *conn)
{
    struct tcp_sock *tp = TCP_OF(conn);
    __u32 n = tp->rcv_nxt - tp->copied_seq;

    if (n && (tp->inet_conn.icsk_inet.sk.__sk_common.skc_flags & (1UL << SOCK_DONE)))
        n--;
    return (int)(n + redirected_unread(conn));
}

// Answers the library of `zio run --sockmap`, which makes good what the kernel does not do for redirected
// bytes.
SEC("cgroup/getsockopt")
int
zsm_getsockopt(struct bpf_sockopt *ctx)
{
    struct bpf_sock *sk = ctx->sk;
    struct zsm_conn *conn;
    struct zsm_own *own;
    int *answer = ctx->optval;

    if (ctx->level != ZSM_LEVEL || !sk || (void *)(answer + 1) > ctx->optval_end)
        return 1;
    own = bpf_sk_storage_get(&zsm_own, sk, 0, 0);
    if (!own)
        return 1;
    conn = bpf_map_lookup_elem(&zsm_conns, &own->me);
    if (ctx->optname == ZSM_JOINED)
        *answer = conn ? ZSM_IS : ZSM_WAS;
    else if (ctx->optname == ZSM_INQ && conn)
        *answer = unread(conn);
    else
        return 1;
    ctx->optlen = sizeof *answer;
    ctx->retval = 0;
    return 1;
}
