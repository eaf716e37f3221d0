// SPDX-License-Identifier: Apache-2.0
// Processes that give up rights or change what they are after elision has begun.
#include "tests/adversarial/adv.h"

#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>

#define N (256 * KIB)

// Reads old absent memory, stores into an old source, and makes new copies.
static int
goes_on(uint8_t *old, uint8_t *src, uint8_t *dst)
{
    EXPECT(same(old, N, 1));
    fill(src, N, 3);
    EXPECT(same(dst, N, 2));
    for (unsigned i = 0; i < 20; i++) {
        uint8_t *p = absent(N, i), *q = copied(p, N);
        fill(p, N, 99);
        EXPECT(same(q, N, i));
        free(p);
        free(q);
    }
    return 0;
}

static int
user_namespace(void)
{
    uint8_t *old = absent(N, 1), *src = new_filled(N, 2), *dst = copied(src, N);
    if (unshare(CLONE_NEWUSER) < 0) {
        SKIP_IF(errno == EPERM || errno == ENOSPC, "user namespaces are forbidden here");
        EXPECT(!"unshare works as it does in a single-threaded process");
    }
    return goes_on(old, src, dst);
}

static int
mount_namespace(void)
{
    uint8_t *old = absent(N, 1), *src = new_filled(N, 2), *dst = copied(src, N);
    SKIP_IF(unshare(CLONE_NEWNS | CLONE_FS | CLONE_FILES) < 0, "mount namespaces are forbidden here");
    return goes_on(old, src, dst);
}

static int
became_nobody(void)
{
    uint8_t *old = absent(N, 1), *src = new_filled(N, 2), *dst = copied(src, N);
    SKIP_IF(geteuid() != 0, "not root");
    EXPECT(setgroups(0, NULL) == 0);
    EXPECT(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    EXPECT(geteuid() == 65534);
    if (goes_on(old, src, dst))
        return 1;
    pid_t pid = fork();
    if (pid == 0) {
        uint8_t *p = absent(N, 1);
        _exit(!same(p, N, 1));
    }
    EXPECT(child_ok(pid));
    return 0;
}

static int
nobody_from_the_start(void)
{
    SKIP_IF(geteuid() != 0, "not root");
    EXPECT(setgroups(0, NULL) == 0);
    EXPECT(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    uint8_t *old = absent(N, 1), *src = new_filled(N, 2), *dst = copied(src, N);
    return goes_on(old, src, dst);
}

static int
not_dumpable(void)
{
    uint8_t *old = absent(N, 1), *src = new_filled(N, 2), *dst = copied(src, N);
    EXPECT(prctl(PR_SET_DUMPABLE, 0) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    return goes_on(old, src, dst);
}

static int
rooted_elsewhere(void)
{
    uint8_t *old = absent(N, 1), *src = new_filled(N, 2), *dst = copied(src, N);
    char dir[] = "/tmp/adversarial-root-XXXXXX";
    EXPECT(mkdtemp(dir));
    bool refused = chroot(dir) < 0;
    int wrong = refused || chdir("/") < 0 ? 0 : goes_on(old, src, dst);
    rmdir(dir);
    SKIP_IF(refused, "chroot is refused here");
    return wrong;
}

static int
apply_filter(struct sock_filter *filter, unsigned short n)
{
    struct sock_fprog prog = {.len = n, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}

// A sandbox that answers EPERM to what the library uses and the program does not.
static int
sandboxed(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mremap, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    uint8_t *old = absent(N, 1), *src = new_filled(N, 2), *dst = copied(src, N);
    SKIP_IF(apply_filter(filter, sizeof filter / sizeof *filter) < 0, "seccomp is refused here");
    return goes_on(old, src, dst);
}

static int
sandboxed_from_the_start(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    SKIP_IF(apply_filter(filter, sizeof filter / sizeof *filter) < 0, "seccomp is refused here");
    uint8_t *old = absent(N, 1), *src = new_filled(N, 2), *dst = copied(src, N);
    return goes_on(old, src, dst);
}

// Strict mode kills at the first call beyond read, write, exit and sigreturn: absent memory must be read
// without one.
static int
strict_sandbox(void)
{
    uint8_t *old = absent(N, 1), *src = new_filled(N, 2), *dst = copied(src, N);
    pid_t pid = fork();
    if (pid == 0) {
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
            _exit(0);
        bool ok = same(old, N, 1);
        fill(src, N, 3);
        ok = ok && same(dst, N, 2);
        raw_syscall(SYS_exit, !ok, 0, 0, 0, 0, 0);
    }
    EXPECT(child_ok(pid));
    return 0;
}

static int
session_and_group_changed(void)
{
    uint8_t *old = absent(N, 1), *src = new_filled(N, 2), *dst = copied(src, N);
    pid_t pid = fork();
    if (pid == 0) {
        CHILD_EXPECT(setsid() > 0);
        CHILD_EXPECT(kill(0, SIGCONT) == 0);
        _exit(goes_on(old, src, dst));
    }
    EXPECT(child_ok(pid));
    return goes_on(old, src, dst);
}

// Someone signals the whole group: the library's own process must not die of it.
static int
group_signalled(void)
{
    uint8_t *old = absent(N, 1), *src = new_filled(N, 2), *dst = copied(src, N);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        for (int i = 0; i < 20; i++) {
            kill(0, SIGTERM);
            kill(0, SIGHUP);
            kill(0, SIGINT);
        }
        _exit(goes_on(old, src, dst));
    }
    EXPECT(child_ok(pid));
    return goes_on(old, src, dst);
}

// Two of them cannot write the statistics any more, and so cannot show that they elided.
const struct adv_case adv_proc_cases[] = {
    {"user_namespace", user_namespace, ADV_ELIDES},
    {"mount_namespace", mount_namespace, ADV_ELIDES},
    {"became_nobody", became_nobody, 0},
    {"nobody_from_the_start", nobody_from_the_start, 0},
    {"not_dumpable", not_dumpable, ADV_ELIDES},
    {"rooted_elsewhere", rooted_elsewhere, 0},
    {"sandboxed", sandboxed, ADV_ELIDES},
    {"sandboxed_from_the_start", sandboxed_from_the_start, 0},
    {"strict_sandbox", strict_sandbox, ADV_ELIDES},
    {"session_and_group_changed", session_and_group_changed, ADV_ELIDES},
    {"group_signalled", group_signalled, ADV_ELIDES},
    {NULL, NULL, 0},
};
