// SPDX-License-Identifier: Apache-2.0
// News of what others change. The shared counters tell that something changed; less what this handle has
// changed itself (it counts that), they tell that another did. A difference that was never seen before is
// news. Own changes are counted before they are made, so that in the moment between a difference is too low
// by one: that is false news, now and a moment later, and hides true news for no longer than that moment.
//
// Nobody pays who is not watched: a commit looks at one shared word. It makes a system call when somebody
// else sleeps. A watcher that was killed in its sleep costs the next commit one call.
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "meta/internal.h"

#define WATCH_MANY UINT32_MAX
_Static_assert(META_WATCH_SLOTS == SHARED_COUNTERS, "slots are the counters");

// What others have changed, as a number that never comes back within reason.
static uint32_t
others(struct meta *m, uint32_t i)
{
    uint32_t all = i == WATCH_EPOCH ? (uint32_t)atomic_load(&m->s->epoch)
                                    : atomic_load(&m->s->counter[i]) + atomic_load(&m->s->wrote[i]);

    return all - atomic_load(&m->watch->own[i]); // in this order: own is never behind
}

int
meta_watch(struct meta *m)
{
    int r = volume_enter(m);

    if (r < 0 || m->watch)
        return r;
    m->watch = calloc(1, sizeof(*m->watch));
    if (!m->watch)
        return -ENOMEM;
    for (uint32_t i = 0; i <= SHARED_COUNTERS; i++)
        atomic_store_explicit(&m->watch->seen[i], others(m, i), memory_order_relaxed);
    return 0;
}

void
meta_wrote(struct meta *m, uint64_t ino)
{
    uint32_t slot = shared_bucket(ino, 0);

    watch_own(m, slot);
    atomic_fetch_add(&m->s->wrote[slot], 1);
    watch_tell(m);
}

uint32_t
meta_data_version(struct meta *m, uint64_t ino)
{
    return meta_version(m, ino) + 2 * atomic_load(&m->s->wrote[shared_bucket(ino, 0)]);
}

uint32_t
meta_watch_slot(uint64_t ino)
{
    return shared_bucket(ino, 0);
}

static bool
news(struct meta *m, uint32_t i)
{
    return others(m, i) != atomic_load_explicit(&m->watch->seen[i], memory_order_acquire);
}

bool
meta_watch_news(struct meta *m, uint64_t ino)
{
    return news(m, shared_bucket(ino, 0)) || news(m, WATCH_EPOCH);
}

#define STRIDE 64

// May there be news in counters i to i + STRIDE - 1? Plain loads, which the compiler makes vectors of: nearly
// all of a look is this. A change that they just miss wakes the watcher again.
__attribute__((no_sanitize("thread"))) static bool
may_have_news(struct meta *m, uint32_t i)
{
    const uint32_t *all = (const uint32_t *)(uintptr_t)&m->s->counter[i];
    const uint32_t *wrote = (const uint32_t *)(uintptr_t)&m->s->wrote[i];
    const uint32_t *own = (const uint32_t *)(uintptr_t)&m->watch->own[i];
    const uint32_t *seen = (const uint32_t *)(uintptr_t)&m->watch->seen[i];
    uint32_t differ = 0;

    for (uint32_t k = 0; k < STRIDE; k++)
        differ |= (all[k] + wrote[k] - own[k]) ^ seen[k];
    return differ != 0;
}

// Seen is what was there before it was told of: what changes meanwhile is news again.
static bool
tell_news(struct meta *m, void (*fn)(void *arg, uint32_t slot), void *arg)
{
    struct watch *w = m->watch;
    bool any = false;
    uint32_t now = others(m, WATCH_EPOCH);

    if (now != atomic_load_explicit(&w->seen[WATCH_EPOCH], memory_order_relaxed)) {
        fn(arg, META_WATCH_ALL);
        atomic_store(&w->seen[WATCH_EPOCH], now);
        any = true;
    }
    for (uint32_t first = 0; first < SHARED_COUNTERS; first += STRIDE) {
        if (__builtin_expect(!may_have_news(m, first), 1))
            continue;
        for (uint32_t i = first; i < first + STRIDE; i++) {
            now = others(m, i);
            if (now == atomic_load_explicit(&w->seen[i], memory_order_relaxed))
                continue;
            fn(arg, i);
            atomic_store(&w->seen[i], now);
            any = true;
        }
    }
    return any;
}

void
watch_tell(struct meta *m)
{
    struct shared *s = m->s;
    uint32_t who = atomic_load(&s->watch_asleep);

    if (__builtin_expect(who == 0 || (m->watch && who == m->slot + 1), 1))
        return;
    atomic_store(&s->watch_asleep, 0);
    atomic_fetch_add(&s->watch_call, 1);
    syscall(SYS_futex, &s->watch_call, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

// Pairs with watch_tell: who commits after this has been stored sees it; what was committed before is in the
// counters that are read next.
static void
say_asleep(struct meta *m)
{
    uint32_t who = 0, me = m->slot + 1;

    if (!atomic_compare_exchange_strong(&m->s->watch_asleep, &who, me) && who != me)
        atomic_store(&m->s->watch_asleep, WATCH_MANY);
}

int
meta_watch_wait(struct meta *m, int ms, void (*fn)(void *arg, uint32_t slot), void *arg)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    struct shared *s = m->s;
    uint32_t call;
    int r = volume_enter(m);

    if (r < 0)
        return r;
    call = atomic_load(&s->watch_call);
    say_asleep(m);
    if (tell_news(m, fn, arg))
        return 1;
    if (syscall(SYS_futex, &s->watch_call, FUTEX_WAIT, call, ms < 0 ? NULL : &t, NULL, 0) != 0 &&
        errno != EAGAIN)
        return errno == ETIMEDOUT ? 0 : -errno;
    tell_news(m, fn, arg);
    return 1;
}
