// SPDX-License-Identifier: Apache-2.0
// Starting and ending real programs: see prog.h.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/env.h"
#include "bench/proc.h"
#include "bench/prog.h"

const char *
prog_find(const char *name, char *out)
{
    char path[4096];
    const char *env = getenv("PATH");
    // Before PATH: what the distribution installed, since a wrapper script in PATH would be measured with it.
    snprintf(path, sizeof path, "/usr/bin:/usr/sbin:/bin:/sbin:%s:/usr/local/sbin",
             env ? env : "/usr/local/bin");
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, ":");
        if (snprintf(out, 256, "%.*s/%s", (int)n, p, name) < 256 && access(out, X_OK) == 0)
            return out;
        p += n + (p[n] == ':');
    }
    return NULL;
}

static void
redirect(const char *path, int flags, int to)
{
    int fd = open(path ? path : "/dev/null", flags, 0600);
    if (fd < 0)
        _exit(126);
    if (fd != to) {
        dup2(fd, to);
        close(fd);
    }
}

int
prog_start(struct prog *p, const char *const *argv, int shim, int cpu, const struct prog_io *io)
{
    char **envp = env_for(shim);
    if (!envp)
        return -ENOMEM;
    p->pid = fork();
    if (p->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_DFL);
        env_pin(cpu);
        redirect(io->in, O_RDONLY, 0);
        redirect(io->out, io->out ? O_WRONLY | O_CREAT | O_TRUNC : O_WRONLY, 1);
        redirect(io->err, io->err ? O_WRONLY | O_CREAT | O_APPEND : O_WRONLY, 2);
        if (!io->dir || chdir(io->dir) == 0)
            execve(argv[0], (char *const *)argv, envp);
        _exit(127);
    }
    int err = p->pid < 0 ? -errno : 0;
    env_free(envp);
    if (err)
        p->pid = 0;
    else
        p->pidfd = pidfd_open(p->pid, 0);
    return err;
}

int
prog_wait(struct prog *p, int timeout_ms)
{
    if (p->pid <= 0)
        return -ECHILD;
    int status = proc_wait(p->pid, p->pidfd, timeout_ms);
    if (p->pidfd >= 0)
        close(p->pidfd);
    p->pid = 0;
    return status;
}

int
prog_stop(struct prog *p, int sig)
{
    if (p->pid <= 0)
        return 0;
    if (sig)
        kill(p->pid, sig);
    return prog_wait(p, 10000);
}

static struct sockaddr_in
loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
}

int
port_free(void)
{
    struct sockaddr_in a = loopback(0);
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port;
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        port = -errno;
    else
        port = ntohs(a.sin_port);
    if (fd >= 0)
        close(fd);
    return port;
}

int
port_connect(int port, struct prog *p)
{
    struct sockaddr_in a = loopback(port);
    struct timeval tv = {.tv_sec = CALL_TIMEOUT_MS / 1000};
    uint64_t end = now_ns() + 15000000000u;
    int one = 1;
    while (now_ns() < end) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return -errno;
        if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
            return fd;
        }
        close(fd);
        struct pollfd pf = {.fd = p ? p->pidfd : -1, .events = POLLIN};
        if (poll(&pf, 1, 5) > 0)
            return -ECHILD;
    }
    return -ETIMEDOUT;
}

void
net_own(void)
{
    static bool done;
    if (done || unshare(CLONE_NEWNET) < 0)
        return;
    done = true;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    if (fd >= 0) {
        ioctl(fd, SIOCSIFFLAGS, &ifr);
        close(fd);
    }
    fd = open("/proc/sys/net/ipv4/tcp_congestion_control", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, "reno", 4) < 0)
            errno = 0;
        close(fd);
    }
}
