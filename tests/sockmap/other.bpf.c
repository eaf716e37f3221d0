// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
// Somebody else's BPF programs: one that only watches, and one that has the sockets in a map of its own.
#include "bpf/vmlinux.h"

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
    __uint(type, BPF_MAP_TYPE_SOCKHASH);
    __uint(max_entries, 1024);
    __type(key, __u64);
    __type(value, __u64);
} other_socks SEC(".maps");

__u64 other_seen;

SEC("sockops")
int
other_count(struct bpf_sock_ops *ops)
{
    __sync_fetch_and_add(&other_seen, 1);
    return 1;
}

SEC("sockops")
int
other_take(struct bpf_sock_ops *ops)
{
    __u64 k = bpf_get_socket_cookie(ops);

    if (ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB || ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
        bpf_sock_hash_update(ops, &other_socks, &k, BPF_ANY);
    return 1;
}

SEC("sk_msg")
int
other_send(struct sk_msg_md *msg)
{
    return SK_PASS;
}
