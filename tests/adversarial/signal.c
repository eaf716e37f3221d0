// SPDX-License-Identifier: Apache-2.0
// Signals at full rate, delivered to any thread; handlers that read, write, copy and jump away.
#include "tests/adversarial/adv.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <sys/time.h>

#define N (256 * KIB)

static atomic_ulong handled, wrong;
static uint8_t *volatile handler_buffer; // absent or frozen: the handler reads and writes it
static volatile unsigned handler_seed;

// A signal this long after the last one's handler has ended, so that a machine on which a fault takes longer
// than that still gets on; 0 stops.
static volatile long tick_usec;

static void
set_timer(long usec)
{
    struct itimerval it = {.it_value = {0, usec}};
    tick_usec = usec;
    setitimer(ITIMER_REAL, &it, NULL);
}

static void
next_tick(void)
{
    if (tick_usec)
        set_timer(tick_usec);
}

static void
on_tick(int sig)
{
    (void)sig;
    int saved = errno;
    uint8_t *p = handler_buffer;
    unsigned long k = handled++;
    size_t at = k * 7919 % (N - 8);
    if (p) {
        uint8_t was = pattern(handler_seed, at);
        if (*(volatile uint8_t *)(p + at) != was)
            wrong++;
        *(volatile uint8_t *)(p + at) = (uint8_t)~was;
        if ((*(volatile uint8_t *)(p + at) ^ was) != 0xff)
            wrong++;
        *(volatile uint8_t *)(p + at) = was;
    }
    next_tick();
    errno = saved;
}

static void
install(void (*handler)(int), int flags)
{
    struct sigaction act = {.sa_handler = handler, .sa_flags = flags};
    sigaction(SIGALRM, &act, NULL);
}

static int
churn(unsigned rounds)
{
    uint8_t *shared = new_filled(N, 1);
    for (unsigned i = 0; i < rounds; i++) {
        uint8_t *a = copied(shared, N), *b = copied(a, N);
        errno = 4711;
        do_memcpy(a + 5, b, N - 5);
        EXPECT(errno == 4711);
        EXPECT(same(a + 5, N - 5, 1));
        EXPECT(same(b, N, 1));
        free(a);
        free(b);
    }
    free(shared);
    return 0;
}

static int
timer_storm(void)
{
    install(on_tick, SA_RESTART);
    handler_seed = 9;
    uint8_t *own = new_filled(N, 9), *copy = copied(own, N);
    handler_buffer = copy;
    set_timer(50);
    EXPECT(churn(150) == 0);
    // Every now and then the handler's buffer becomes absent again under its feet.
    for (int i = 0; i < 100; i++) {
        do_memcpy(copy, own, N);
        EXPECT(churn(1) == 0);
    }
    set_timer(0);
    EXPECT(wrong == 0);
    EXPECT(handled > 0);
    EXPECT(same(own, N, 9));
    return 0;
}

struct target {
    pthread_t thread;
    atomic_bool done;
    bool ok;
};

static void *
churning_thread(void *arg)
{
    struct target *t = arg;
    t->ok = churn(80) == 0;
    t->done = true;
    return NULL;
}

static int
storm_on_every_thread(void)
{
    struct target t[3];
    install(on_tick, SA_RESTART);
    handler_seed = 9;
    handler_buffer = absent(N, 9);
    for (int i = 0; i < 3; i++) {
        t[i].done = false;
        EXPECT(pthread_create(&t[i].thread, NULL, churning_thread, &t[i]) == 0);
    }
    // Many threads write the handler's buffer at once, so that they check only reads' plausibility: use none.
    handler_buffer = NULL;
    for (bool all = false; !all;) {
        all = true;
        for (int i = 0; i < 3; i++)
            if (!t[i].done) {
                all = false;
                pthread_kill(t[i].thread, SIGALRM);
            }
        kill(getpid(), SIGALRM);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i].thread, NULL);
        EXPECT(t[i].ok);
    }
    EXPECT(handled > 0);
    return 0;
}

static uint8_t *copy_from, *copy_to;

static void
on_tick_copy(int sig)
{
    (void)sig;
    unsigned long k = handled++;
    size_t n = 8 * PAGE + k % PAGE;
    do_memcpy(copy_to, copy_from + k % 5, n);
    for (size_t i = 0; i < n; i += 997)
        if (*(volatile uint8_t *)(copy_to + i) != pattern(3, k % 5 + i))
            wrong++;
    next_tick();
}

// memcpy is async-signal-safe: the handler interrupts a copy with another one.
static int
handler_copies(void)
{
    copy_from = new_filled(N, 3);
    copy_to = map_anon(N);
    install(on_tick_copy, SA_RESTART);
    set_timer(50);
    EXPECT(churn(200) == 0);
    set_timer(0);
    EXPECT(wrong == 0 && handled > 0);
    EXPECT(same(copy_from, N, 3));
    return 0;
}

static int handler_fd[2];

static void
on_tick_send(int sig)
{
    (void)sig;
    int saved = errno;
    handled++;
    uint8_t back[64];
    if (write(handler_fd[0], copy_from + PAGE, 8 * PAGE) == 8 * PAGE) {
        if (read(handler_fd[1], copy_to, 8 * PAGE) != 8 * PAGE)
            wrong++;
        for (size_t i = 0; i < sizeof back; i++)
            if (*(volatile uint8_t *)(copy_to + i * 500) != pattern(3, PAGE + i * 500))
                wrong++;
    } else {
        wrong++;
    }
    next_tick();
    errno = saved;
}

// write and read are async-signal-safe too, with buffers that are absent.
static int
handler_sends(void)
{
    EXPECT(unix_pair(handler_fd, SOCK_STREAM) == 0);
    copy_from = absent(N, 3);
    copy_to = absent(N, 4);
    install(on_tick_send, SA_RESTART);
    set_timer(100);
    EXPECT(churn(150) == 0);
    set_timer(0);
    EXPECT(wrong == 0 && handled > 0);
    return 0;
}

static sigjmp_buf jump;

static void
on_tick_jump(int sig)
{
    (void)sig;
    handled++;
    siglongjmp(jump, 1);
}

// POSIX lets a handler jump out of memcpy: nothing may stay locked or half done afterwards.
static int
handler_jumps_away(void)
{
    uint8_t *volatile src = new_filled(N, 1), *volatile dst = map_anon(N), *volatile other = map_anon(N);
    volatile unsigned jumps = 0;
    install(on_tick_jump, 0);
    int64_t end = now_ns() + 8000000000ll;
    for (volatile unsigned i = 0; jumps < 300 && now_ns() < end; i++) {
        if (sigsetjmp(jump, 1)) {
            jumps++;
            continue;
        }
        set_timer(20 + i * 7 % 200);
        for (;;) {
            do_memcpy(dst, src, N);
            do_memcpy(other + 3, dst, N - 3);
        }
    }
    set_timer(0);
    EXPECT(jumps > 10);
    EXPECT(same(src, N, 1));
    do_memcpy(dst, src, N);
    EXPECT(same(dst, N, 1));
    install(SIG_IGN, 0);
    return churn(5);
}

static int
blocked_signals_stay_blocked(void)
{
    sigset_t set, pending;
    install(on_tick, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    EXPECT(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    uint8_t *p = absent(N, 1);
    raise(SIGALRM);
    EXPECT(churn(3) == 0);
    EXPECT(same(p, N, 1));
    EXPECT(handled == 0);
    EXPECT(sigpending(&pending) == 0 && sigismember(&pending, SIGALRM));
    EXPECT(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
    EXPECT(handled == 1);
    // A process-directed signal that the only thread blocks must wait for it, not be taken by a thread of
    // ours.
    EXPECT(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    for (int i = 0; i < 100; i++) {
        kill(getpid(), SIGALRM);
        EXPECT(handled == 1);
    }
    int sig;
    EXPECT(sigwait(&set, &sig) == 0 && sig == SIGALRM);
    EXPECT(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0 && handled == 1);
    return 0;
}

static int
handler_on_alternate_stack(void)
{
    stack_t ss = {.ss_sp = absent_map(64 * KIB, 5), .ss_size = 64 * KIB};
    EXPECT(sigaltstack(&ss, NULL) == 0);
    install(on_tick, SA_ONSTACK);
    handler_seed = 9;
    handler_buffer = absent(N, 9);
    // The kernel itself writes the signal's frame into the absent stack.
    EXPECT(raise(SIGALRM) == 0);
    EXPECT(handled == 1 && wrong == 0);
    uint8_t *src = new_filled(64 * KIB, 6);
    do_memcpy(ss.ss_sp, src, 64 * KIB);
    EXPECT(raise(SIGALRM) == 0);
    EXPECT(handled == 2 && wrong == 0);
    EXPECT(same(ss.ss_sp, 16 * KIB, 6));
    return 0;
}

const struct adv_case adv_signal_cases[] = {
    {"timer_storm", timer_storm, ADV_ELIDES | ADV_SLOW},
    {"storm_on_every_thread", storm_on_every_thread, ADV_ELIDES | ADV_SLOW},
    {"handler_copies", handler_copies, ADV_ELIDES | ADV_SLOW},
    {"handler_sends", handler_sends, ADV_ELIDES | ADV_SLOW},
    {"handler_jumps_away", handler_jumps_away, ADV_ELIDES | ADV_SLOW},
    {"blocked_signals_stay_blocked", blocked_signals_stay_blocked, ADV_ELIDES},
    {"handler_on_alternate_stack", handler_on_alternate_stack, ADV_ELIDES},
    {NULL, NULL, 0},
};
