// SPDX-License-Identifier: Apache-2.0
// Starting, asking and ending the workers: see proc.h.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/env.h"
#include "bench/proc.h"

static void
close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

int
tcp_pair(int fd[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    struct timeval tv = {.tv_sec = CALL_TIMEOUT_MS / 1000};
    int one = 1, err = 0;
    int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fd[1] = -1;
    if (l < 0 || fd[0] < 0 || bind(l, (struct sockaddr *)&a, len) < 0 || listen(l, 1) < 0 ||
        getsockname(l, (struct sockaddr *)&a, &len) < 0 || connect(fd[0], (struct sockaddr *)&a, len) < 0 ||
        (fd[1] = accept4(l, NULL, NULL, SOCK_CLOEXEC)) < 0)
        err = -errno;
    for (int i = 0; !err && i < 2; i++) {
        setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        // BBR paces by its estimate, which on loopback with pauses is wrong by a factor of four, by chance.
        setsockopt(fd[i], IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
        setsockopt(fd[i], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
        setsockopt(fd[i], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    }
    // The worker waits for its client between slices as long as it takes.
    struct timeval forever = {0};
    if (!err)
        setsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    close_fd(&l);
    if (err) {
        close_fd(&fd[0]);
        close_fd(&fd[1]);
    }
    return err;
}

// In the child: puts ctl and data where the worker expects them, and becomes it.
static void
exec_worker(int ctl, int data, char **envp)
{
    char *argv[] = {(char *)"zio-bench", (char *)"--worker", NULL};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    env_pin(opt.cpu_server);
    ctl = fcntl(ctl, F_DUPFD_CLOEXEC, 10);
    if (data >= 0)
        data = fcntl(data, F_DUPFD_CLOEXEC, 10);
    dup2(ctl, WORKER_CTL_FD);
    if (data >= 0)
        dup2(data, WORKER_DATA_FD);
    execve("/proc/self/exe", argv, envp);
    _exit(127);
}

int
worker_start(struct worker *w, int shim, enum data_kind data)
{
    int ctl[2] = {-1, -1}, dfd[2] = {-1, -1}, err = 0;
    char **envp = env_for(shim);
    *w = (struct worker)WORKER_INIT;
    w->shim = shim;
    if (!envp)
        err = -ENOMEM;
    if (!err && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ctl) < 0)
        err = -errno;
    if (!err && data == DATA_TCP)
        err = tcp_pair(dfd);
    if (!err && data == DATA_UNIX && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, dfd) < 0)
        err = -errno;
    if (!err && (w->pid = fork()) < 0) {
        err = -errno;
        w->pid = 0;
    }
    if (!err && w->pid == 0)
        exec_worker(ctl[1], dfd[1], envp);
    if (!err) {
        w->pidfd = pidfd_open(w->pid, 0);
        w->ctl = ctl[0];
        w->data = dfd[0];
    } else {
        snprintf(w->why, sizeof w->why, "a worker could not be started: %s", strerror(-err));
        close_fd(&ctl[0]);
        close_fd(&dfd[0]);
    }
    close_fd(&ctl[1]);
    close_fd(&dfd[1]);
    env_free(envp);
    return err;
}

int
worker_start_program(struct worker *w, const char *name, const char *const *argv, char *const *envp,
                     const char *said)
{
    int ctl[2] = {-1, -1}, err = 0;
    *w = (struct worker)WORKER_INIT;
    w->name = name;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ctl) < 0)
        err = -errno;
    if (!err && (w->pid = fork()) < 0) {
        err = -errno;
        w->pid = 0;
    }
    if (!err && w->pid == 0) {
        int out = open(said, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        env_unpin();
        dup2(out, 2);
        if (ctl[1] == WORKER_CTL_FD)
            fcntl(WORKER_CTL_FD, F_SETFD, 0);
        else
            dup2(ctl[1], WORKER_CTL_FD);
        execve(argv[0], (char *const *)argv, envp);
        dprintf(2, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    close_fd(&ctl[1]);
    if (err) {
        snprintf(w->why, sizeof w->why, "%s could not be started: %s", name, strerror(-err));
        close_fd(&ctl[0]);
        return err;
    }
    w->pidfd = pidfd_open(w->pid, 0);
    w->ctl = ctl[0];
    return 0;
}

static const char *
kind_name(const struct worker *w)
{
    if (w->name)
        return w->name;
    return w->shim ? "the shim worker" : "the plain worker";
}

bool
worker_gone(const struct worker *w)
{
    struct pollfd p = {.fd = w->pidfd, .events = POLLIN};
    return w->pidfd < 0 || poll(&p, 1, 0) == 1;
}

void
worker_autopsy(struct worker *w)
{
    siginfo_t si = {0};
    struct pollfd p = {.fd = w->pidfd, .events = POLLIN};
    if (w->pidfd < 0 || poll(&p, 1, 2000) != 1 ||
        waitid(P_PIDFD, (id_t)w->pidfd, &si, WEXITED | WNOHANG | WNOWAIT) < 0)
        snprintf(w->why, sizeof w->why, "%s closed its connection", kind_name(w));
    else if (si.si_code == CLD_EXITED)
        snprintf(w->why, sizeof w->why, "%s ended with exit code %d", kind_name(w), si.si_status);
    else
        snprintf(w->why, sizeof w->why, "%s was killed by signal %d (%s)", kind_name(w), si.si_status,
                 strsignal(si.si_status));
}

int
worker_send(struct worker *w, const struct wreq *q)
{
    if (send(w->ctl, q, sizeof *q, MSG_NOSIGNAL) == (ssize_t)sizeof *q)
        return 0;
    worker_autopsy(w);
    return -EPIPE;
}

int
worker_reply(struct worker *w, struct wrep *p)
{
    struct pollfd pf = {.fd = w->ctl, .events = POLLIN};
    int n = poll(&pf, 1, w->timeout_ms);
    if (n == 0) {
        snprintf(w->why, sizeof w->why, "%s (pid %d) did not answer within %d s", kind_name(w), (int)w->pid,
                 w->timeout_ms / 1000);
        kill(w->pid, SIGKILL);
        return -ETIMEDOUT;
    }
    if (n < 0)
        return -errno;
    if (recv(w->ctl, p, sizeof *p, 0) != (ssize_t)sizeof *p) {
        worker_autopsy(w);
        return -EPIPE;
    }
    if (p->err) {
        p->text[sizeof p->text - 1] = '\0';
        snprintf(w->why, sizeof w->why, "%s: %s", kind_name(w), p->text[0] ? p->text : strerror(p->err));
        return -p->err;
    }
    return 0;
}

int
worker_call(struct worker *w, const struct wreq *q, struct wrep *p)
{
    int err = worker_send(w, q);
    return err ? err : worker_reply(w, p);
}

int
proc_wait(pid_t pid, int pidfd, int timeout_ms)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int status = 0, n;
    do
        n = poll(&p, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return status;
}

int
worker_stop(struct worker *w)
{
    int status, err = 0;
    if (w->pid <= 0)
        return 0;
    close_fd(&w->ctl);
    close_fd(&w->data);
    status = proc_wait(w->pid, w->pidfd, 5000);
    close_fd(&w->pidfd);
    w->pid = 0;
    if (status != 0) {
        err = -ECHILD;
        if (!w->why[0] && status > 0 && WIFSIGNALED(status))
            snprintf(w->why, sizeof w->why, "%s was killed by signal %d (%s) at its end", kind_name(w),
                     WTERMSIG(status), strsignal(WTERMSIG(status)));
        else if (!w->why[0])
            snprintf(w->why, sizeof w->why, "%s ended with status %#x", kind_name(w), (unsigned)status);
    }
    return err;
}
