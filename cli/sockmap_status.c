// SPDX-License-Identifier: Apache-2.0
// `zio sockmap status`: what the pinned set does, as text or JSON.
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/sockmap_cgroup.h"
#include "cli/sockmap_tool.h"

static const struct {
    const char *id, *help;
} counters[] = {
#define X(id, help) {#id, help},
    ZSM_COUNTERS(X)
#undef X
};

static const struct {
    const char *id, *help;
} reasons[] = {
#define X(id, help) {#id, help},
    ZSM_REASONS(X)
#undef X
};

static const char *const states[] = {"?",          "established", "syn_sent",  "syn_recv",
                                     "fin_wait1",  "fin_wait2",   "time_wait", "close",
                                     "close_wait", "last_ack",    "listen",    "closing"};

struct report {
    struct zsm *set;
    json_t *groups, *connections; // lists, or NULL for text
    unsigned shown;
};

static const char *
address(const uint32_t a[4], uint16_t port, char out[80])
{
    char text[INET6_ADDRSTRLEN];

    if (!a[0] && !a[1] && a[2] == htonl(0xffff))
        snprintf(out, 80, "%s:%u", inet_ntop(AF_INET, &a[3], text, sizeof text), port);
    else
        snprintf(out, 80, "[%s]:%u", inet_ntop(AF_INET6, a, text, sizeof text), port);
    return out;
}

static int
add_group(void *arg, const char *name, uint64_t id)
{
    struct report *r = arg;
    char group[PATH_MAX];

    cgroup_name(id, group);
    if (r->groups)
        json_array_append_new(r->groups, json_pack("{s:s, s:s}", "cgroup", group, "attached_as", name));
    else
        printf("%-44s  %s\n", group, strncmp(name, "run-", 4) ? "zio sockmap up" : "zio run --sockmap");
    return 0;
}

// One end: what it has received.
static int
add_end(void *arg, const struct zsm_key *k, const struct zsm_conn *c)
{
    struct report *r = arg;
    struct zsm_view v = {0};
    char local[80], remote[80], a[TEXT_MAX], b[TEXT_MAX], w[TEXT_MAX];
    const char *why = c->why < ZSM_NREASONS ? reasons[c->why].id : "?", *state;

    if (zsm_look(r->set, k, &v) != 0)
        return 0; // it has just ended
    state = v.state < sizeof states / sizeof states[0] ? states[v.state] : "?";
    address(k->laddr, k->lport, local);
    address(k->raddr, k->rport, remote);
    r->shown++;
    if (r->connections) {
        json_array_append_new(r->connections,
                              json_pack("{s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:s}",
                                        "local", local, "remote", remote, "netns", (json_int_t)k->netns,
                                        "end", c->server ? "accepted" : "connected", "state", state,
                                        "redirected_bytes", (json_int_t)c->redirected, "redirected_messages",
                                        (json_int_t)c->messages, "tcp_bytes", (json_int_t)c->passed,
                                        "waiting_bytes", (json_int_t)v.waiting, "waiting_tcp_bytes",
                                        (json_int_t)v.in_tcp, "leaving", (int)c->leaving, "reason", why));
        return 0;
    }
    if (r->shown == 1)
        printf("\n%-28s %-28s %-11s %10s %10s %10s\n", "RECEIVER", "SENDER", "STATE", "REDIRECTED", "BY TCP",
               "WAITING");
    printf("%-28s %-28s %-11s %10s %10s %10s%s%s\n", local, remote, state, text_bytes(a, c->redirected),
           text_bytes(b, c->passed), text_bytes(w, v.waiting), c->leaving ? "  leaving: " : "",
           c->leaving ? reasons[c->why < ZSM_NREASONS ? c->why : 0].help : "");
    return 0;
}

static void
print_counters(const uint64_t v[ZSM_NCOUNTERS])
{
    char text[TEXT_MAX];

    putchar('\n');
    for (size_t i = 0; i < ZSM_NCOUNTERS; i++)
        printf("%-20s %10s  %s\n", counters[i].id,
               strstr(counters[i].id, "bytes") ? text_bytes(text, v[i]) : text_count(text, v[i]),
               counters[i].help);
}

static int
off(const struct sockmap_args *a)
{
    if (!a->json) {
        puts("Off: no control group is joined (zio sockmap up).");
        return CLI_OK;
    }
    puts("{\"on\": false, \"cgroups\": [], \"counters\": {}, \"connections\": []}");
    return CLI_OK;
}

int
sockmap_status(const struct sockmap_args *a)
{
    struct report r = {0};
    uint64_t v[ZSM_NCOUNTERS];
    char why[ZSM_WHY];
    json_t *all;
    int err = zsm_open(&r.set, a->bpffs, why);

    if (err == -ENOENT)
        return off(a);
    if (err || (err = zsm_counters(r.set, v)) != 0) {
        zsm_close(r.set);
        return cli_error(CLI_FAIL, a->name, "%s", *why ? why : strerror(-err));
    }
    if (a->json) {
        r.groups = json_array();
        r.connections = json_array();
    }
    zsm_attachments(a->bpffs, add_group, &r);
    if (!a->json)
        print_counters(v);
    zsm_each(r.set, add_end, &r);
    zsm_close(r.set);
    if (!a->json)
        return CLI_OK;
    all = json_object();
    for (size_t i = 0; i < ZSM_NCOUNTERS; i++)
        json_object_set_new(all, counters[i].id, json_integer((json_int_t)v[i]));
    all = json_pack("{s:b, s:o, s:o, s:o}", "on", 1, "cgroups", r.groups, "counters", all, "connections",
                    r.connections);
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
    return CLI_OK;
}
