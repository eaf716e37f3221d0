// SPDX-License-Identifier: Apache-2.0
// The command line of zio-bench. `opt` is written here and nowhere else, except for what main.c finds out
// (lib, CPUs).
#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/fsway.h"
#include "bench/opts.h"

struct opts opt = {.ring = 1, .source = "stable", .send = "write", .recv = "loop", .order = "first"};

enum {
    O_JSON = 256,
    O_PLOT,
    O_QUICK,
    O_SMOKE,
    O_ROUNDS,
    O_SLICE,
    O_LIB,
    O_POLICY,
    O_THRESHOLD,
    O_SIZES,
    O_COPIES,
    O_DEST,
    O_TOUCH,
    O_SOURCE,
    O_BUFFERS,
    O_SEND,
    O_RECV,
    O_SKEW,
    O_RING,
    O_PAGES,
    O_ORDER,
    O_APPS,
    O_CEILING,
    O_OUT,
    O_ORDINARY,
    O_WAYS,
    O_ROWS,
    O_TREE,
    O_SIZE,
    O_MILLION,
};

static const struct argp_option options[] = {
    {0, 0, 0, 0, "Every sub-command:", 1},
    {"json", O_JSON, 0, 0, "print one JSON document, and nothing else, on standard output", 1},
    {"plot", O_PLOT, "FILE.svg", 0, "draw the result (needs gnuplot)", 1},
    {"quick", O_QUICK, 0, 0, "a short run: fewer rows, fewer rounds", 1},
    {"smoke", O_SMOKE, 0, 0, "check that everything works; its times mean nothing", 1},
    {"rounds", O_ROUNDS, "N", 0, "slices of each variant in a row", 1},
    {"slice", O_SLICE, "MS", 0, "length of a slice, in milliseconds", 1},
    {"lib", O_LIB, "PATH", 0, "the libzio.so to measure", 1},
    {"policy", O_POLICY, "NAME", 0, "ZIO_POLICY of the shim's runs: model or always", 1},
    {"threshold", O_THRESHOLD, "BYTES", 0, "ZIO_THRESHOLD of the shim's runs", 1},
    {"ordinary", O_ORDINARY, 0, 0,
     "do not run under SCHED_RR where that is allowed (it keeps other work off the figures)", 1},
    {"sizes", O_SIZES, "LIST", 0, "sizes, such as 4k,64k,1m", 1},
    {0, 0, 0, 0, "copy and alloc:", 2},
    {"dest", O_DEST, "LIST", 0, "of hot,fresh-malloc,fresh-mmap,absent", 2},
    {"touch", O_TOUCH, "LIST", 0, "of none,first,half,all", 2},
    {"source", O_SOURCE, "KIND", 0,
     "stable (default), rewrite (stored to before each copy), recv (received before each copy; copy only)",
     2},
    {0, 0, 0, 0, "echo and fault:", 3},
    {"copies", O_COPIES, "LIST", 0, "copies of each message inside the server", 3},
    {"buffers", O_BUFFERS, "KIND", 0, "reused or fresh (default: both)", 3},
    {"send", O_SEND, "CALL", 0, "write (default), send or writev", 3},
    {"recv", O_RECV, "CALL", 0, "loop (default: recv until complete), waitall or read", 3},
    {"ring", O_RING, "N", 0,
     "receive into N buffers in turn, but for the copy-free server that is compared with: what the cache "
     "makes of "
     "a second buffer",
     3},
    {"skew", O_SKEW, "BYTES", 0, "start each buffer so many bytes further into its page than the one before",
     3},
    {"pages", O_PAGES, "LIST", 0, "fault: pages that the server reads of each message", 3},
    {"order", O_ORDER, "KIND", 0, "fault: first (default) or spread", 3},
    {0, 0, 0, 0, "fs [DIR|URL] (where the files go, or a volume; by default a temporary directory):", 4},
    {"ways", O_WAYS, "LIST", 0, "of " FSWAY_NAMES, 4},
    {"rows", O_ROWS, "LIST", 0, "of " FSROW_NAMES, 4},
    {"size", O_SIZE, "BYTES", 0, "of the large file (default 1g)", 4},
    {"tree", O_TREE, "DIR", 0, "what is untarred (default /usr/include)", 4},
    {"million", O_MILLION, "N", OPTION_ARG_OPTIONAL, "a directory with N names (default 1000000), too", 4},
    {0, 0, 0, 0, "app and report:", 5},
    {"apps", O_APPS, "LIST", 0, "app: the programs to run; sock: of redis,nginx, or - for none", 5},
    {"ceiling", O_CEILING, NULL, 0,
     "app: redis also with its large copies left out (and wrong bytes): what copies that cost nothing would "
     "bring",
     5},
    {"out", O_OUT, "DIR", 0, "report: where the results go", 5},
    {0}};

bool
list_has(const char *list, const char *name)
{
    size_t n = strlen(name);
    if (!list)
        return true;
    for (const char *p = list; *p;) {
        size_t len = strcspn(p, ",");
        if (len == n && !memcmp(p, name, n))
            return true;
        p += len + (p[len] == ',');
    }
    return false;
}

// A number with an optional k, m or g. The end of it goes to *end.
static uint64_t
number(const char *s, const char **end)
{
    char *e;
    errno = 0;
    uint64_t v = isdigit((unsigned char)*s) ? strtoull(s, &e, 10) : (e = (char *)s, 0);
    if (errno)
        e = (char *)s;
    unsigned shift = 0;
    switch (tolower((unsigned char)*e)) {
    case 'k':
        shift = 10;
        break;
    case 'm':
        shift = 20;
        break;
    case 'g':
        shift = 30;
        break;
    }
    if (e != s && shift)
        e++;
    *end = e;
    return v << shift;
}

static uint64_t
one_number(const char *name, const char *arg, uint64_t min, uint64_t max, struct argp_state *state)
{
    const char *end;
    uint64_t v = number(arg, &end);
    if (end == arg || *end || v < min || v > max)
        argp_error(state, "--%s: '%s' is not a number from %llu to %llu", name, arg, (unsigned long long)min,
                   (unsigned long long)max);
    return v;
}

static void
numbers(const char *name, const char *arg, uint64_t max, struct numlist *l, struct argp_state *state)
{
    const char *p = arg, *end;
    for (l->n = 0; *p; p = end + (*end == ',')) {
        uint64_t v = number(p, &end);
        if (end == p || (*end && *end != ',') || v > max)
            argp_error(state, "--%s: '%s' is not a list of numbers up to %llu", name, arg,
                       (unsigned long long)max);
        if (l->n == LIST_MAX)
            argp_error(state, "--%s: at most %d numbers", name, LIST_MAX);
        l->v[l->n++] = v;
    }
    if (!l->n)
        argp_error(state, "--%s: the list is empty", name);
}

// Every member of the comma list `arg` must be a member of `known`.
static const char *
words(const char *name, char *arg, const char *known, struct argp_state *state)
{
    for (const char *p = arg; *p;) {
        size_t len = strcspn(p, ",");
        char w[32] = "";
        if (len < sizeof w)
            memcpy(w, p, len);
        if (!*w || !list_has(known, w))
            argp_error(state, "--%s: '%.*s' is not one of %s", name, (int)len, p, known);
        p += len + (p[len] == ',');
    }
    return arg;
}

static error_t
parse(int key, char *arg, struct argp_state *st)
{
    switch (key) {
    case O_JSON:
        opt.json = true;
        break;
    case O_PLOT:
        opt.plot = arg;
        break;
    case O_QUICK:
        opt.quick = true;
        break;
    case O_SMOKE:
        opt.smoke = true;
        break;
    case O_ORDINARY:
        opt.ordinary = true;
        break;
    case O_ROUNDS:
        opt.rounds = (unsigned)one_number("rounds", arg, 1, 1000, st);
        break;
    case O_SLICE:
        opt.slice_ns = one_number("slice", arg, 1, 10000, st) * 1000000;
        break;
    case O_LIB:
        opt.lib = arg;
        break;
    case O_POLICY:
        opt.policy = words("policy", arg, "model,always", st);
        break;
    case O_THRESHOLD:
        opt.threshold = arg;
        break;
    case O_SIZES:
        numbers("sizes", arg, 1u << 30, &opt.sizes, st);
        break;
    case O_COPIES:
        numbers("copies", arg, 64, &opt.copies, st);
        break;
    case O_DEST:
        opt.dests = words("dest", arg, "hot,fresh-malloc,fresh-mmap,absent", st);
        break;
    case O_TOUCH:
        opt.touches = words("touch", arg, "none,first,half,all", st);
        break;
    case O_SOURCE:
        opt.source = words("source", arg, "stable,rewrite,recv", st);
        break;
    case O_BUFFERS:
        opt.buffers = words("buffers", arg, "reused,fresh", st);
        break;
    case O_SEND:
        opt.send = words("send", arg, "write,send,writev", st);
        break;
    case O_RECV:
        opt.recv = words("recv", arg, "loop,waitall,read", st);
        break;
    case O_SKEW:
        opt.skew = one_number("skew", arg, 0, 65536, st);
        break;
    case O_RING:
        opt.ring = one_number("ring", arg, 1, 16, st);
        break;
    case O_PAGES:
        numbers("pages", arg, 1u << 20, &opt.pages, st);
        break;
    case O_ORDER:
        opt.order = words("order", arg, "first,spread", st);
        break;
    case O_APPS:
        opt.apps = arg;
        break;
    case O_WAYS:
        opt.ways = words("ways", arg, FSWAY_NAMES, st);
        break;
    case O_ROWS:
        opt.rows = words("rows", arg, FSROW_NAMES, st);
        break;
    case O_TREE:
        opt.tree = arg;
        break;
    case O_SIZE:
        opt.size = one_number("size", arg, 1 << 20, UINT64_C(1) << 40, st) & ~UINT64_C(131071);
        break;
    case O_MILLION:
        opt.million = arg ? one_number("million", arg, 100, 100000000, st) : 1000000;
        break;
    case O_CEILING:
        opt.ceiling = true;
        break;
    case O_OUT:
        opt.out = arg;
        break;
    case ARGP_KEY_ARG:
        if (!opt.bench)
            opt.bench = arg;
        else if (!strcmp(opt.bench, "fs") && !opt.target)
            opt.target = arg;
        else
            argp_error(st, "one sub-command only");
        break;
    case ARGP_KEY_END:
        if (!opt.bench)
            argp_error(st,
                       "which one? copy, echo, fault, alloc, micro, app, table, fs, sock, demo or report");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

void
opts_parse(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "copy|echo|fault|alloc|micro|app|table|sock|demo|report\nfs [DIR|URL]",
        .doc = "Measure programs plain and under zIO, interleaved in one run.\v"
               "Every figure is a ratio of slices that ran in alternation: 1.00 is the plain program's "
               "speed, more is "
               "faster. Bytes are checked before and after every row; a mismatch ends in exit code 1."};
    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    opt.slice_given = opt.slice_ns != 0;
    opt.rounds_given = opt.rounds != 0;
    if (opt.smoke) {
        opt.rounds = opt.rounds ? opt.rounds : 2;
        opt.slice_ns = opt.slice_ns ? opt.slice_ns : 1000000;
        opt.warm_ns = 500000;
    } else if (opt.quick) {
        opt.rounds = opt.rounds ? opt.rounds : 7;
        opt.slice_ns = opt.slice_ns ? opt.slice_ns : 12000000;
        opt.warm_ns = 30000000;
    } else {
        opt.rounds = opt.rounds ? opt.rounds : 15;
        opt.slice_ns = opt.slice_ns ? opt.slice_ns : 25000000;
        opt.warm_ns = 60000000;
    }
}
