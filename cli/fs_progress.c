// SPDX-License-Identifier: Apache-2.0
// Progress of long work: amount, share, rate and time left. On a terminal, in one line that is written over;
// elsewhere a line every ten seconds, so that a log tells that the work goes on.
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/fs.h"

#define TERMINAL_NS 200000000 // between two looks on a terminal
#define PLAIN_NS 10000000000u // and elsewhere, without --progress

static uint64_t
now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void
progress_begin(struct fs_progress *p, const char *what, uint64_t total, const struct fs_args *a)
{
    memset(p, 0, sizeof *p);
    snprintf(p->what, sizeof p->what, "%s", what);
    text_clean(p->what);
    p->total = total;
    p->began = p->shown = now_ns();
    p->on = !a->quiet;
    p->terminal = isatty(STDERR_FILENO);
    p->every = a->interval > 0 ? (uint64_t)(a->interval * 1e9) : p->terminal ? TERMINAL_NS : PLAIN_NS;
}

static void
show(struct fs_progress *p, uint64_t now)
{
    char done[TEXT_MAX], total[TEXT_MAX], rate[TEXT_MAX], left[32] = "";
    double seconds = (double)(now - p->began) / 1e9, speed = seconds > 0 ? (double)p->done / seconds : 0;

    text_bytes(done, p->done);
    text_bytes(total, p->total);
    text_bytes(rate, (uint64_t)speed);
    if (p->total > p->done && speed > 0)
        snprintf(left, sizeof left, ", %.0f s left", (double)(p->total - p->done) / speed);
    if (p->total)
        fprintf(stderr, "%s%s: %3.0f %%  %s of %s, %s/s%s%s", p->terminal ? "\r" : "", p->what,
                100.0 * (double)p->done / (double)p->total, done, total, rate, left,
                p->terminal ? "\033[K" : "\n");
    else
        fprintf(stderr, "%s%s: %s, %s/s%s", p->terminal ? "\r" : "", p->what, done, rate,
                p->terminal ? "\033[K" : "\n");
    fflush(stderr);
}

void
progress_to(struct fs_progress *p, uint64_t done)
{
    uint64_t now;

    p->done = done;
    if (!p->on)
        return;
    now = now_ns();
    if (now - p->shown < p->every)
        return;
    p->shown = now;
    show(p, now);
}

void
progress_end(struct fs_progress *p)
{
    if (!p->on || p->shown == p->began)
        return;
    show(p, now_ns());
    if (p->terminal)
        fputc('\n', stderr);
}
