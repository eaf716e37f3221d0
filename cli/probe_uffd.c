// SPDX-License-Identifier: Apache-2.0
// Checks of userfaultfd: whether a descriptor can be had, whether it resolves the kernel's own faults (tried
// with a real one), and the features that the kernel offers.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/features.h"
#include "cli/kernel_compat.h"
#include "cli/probe.h"

#define DEVICE "/dev/userfaultfd"
#define RULE "KERNEL==\"userfaultfd\", SUBSYSTEM==\"misc\", MODE=\"0666\""
#define MEND_ACCESS                                                                                          \
    "echo '" RULE                                                                                            \
    "' | sudo tee /etc/udev/rules.d/60-zio-userfaultfd.rules && sudo udevadm control --reload && "           \
    "sudo udevadm trigger --name-match=userfaultfd"
#define MEND_SYSCTL "sudo sysctl -w vm.unprivileged_userfaultfd=1"

struct uffd_way {
    const char *how; // how the descriptor was had, NULL: not at all
    int syscall_err; // why the system call gave none
    int device_err;  // why the device gave none
};

// A userfaultfd that takes kernel faults, as libzio.so asks for it. -1: none, see way.
static int
open_uffd(struct uffd_way *way)
{
    int fd, device;

    memset(way, 0, sizeof *way);
    fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) {
        way->how = "the userfaultfd system call";
        return fd;
    }
    way->syscall_err = errno;
    device = open(DEVICE, O_RDWR | O_CLOEXEC);
    if (device < 0) {
        way->device_err = errno;
        return -1;
    }
    fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        way->device_err = errno;
    else
        way->how = DEVICE;
    close(device);
    return fd;
}

// One that only resolves the program's own faults: every user may have it since Linux 5.11.
static bool
user_mode_only_works(void)
{
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

// Whether ZIO_FEATURES takes `name`, or all of userfaultfd, away; says so in p.
static bool
hidden(struct probe *p, const char *name, enum probe_status status)
{
    const char *which = features_hidden("uffd") ? "uffd" : features_hidden(name) ? name : NULL;

    if (which)
        probe_say(p, status, "unset ZIO_FEATURES", "taken away by ZIO_FEATURES=-%s", which);
    return which != NULL;
}

void
probe_uffd(struct probe *p)
{
    struct uffd_way way;
    int fd;

    if (hidden(p, "uffd", PROBE_MISSING))
        return;
    fd = open_uffd(&way);
    if (fd >= 0) {
        close(fd);
        probe_say(p, PROBE_OK, "", "through %s", way.how);
    } else if (way.syscall_err == ENOSYS) {
        probe_say(p, PROBE_MISSING, "",
                  "the kernel is built without CONFIG_USERFAULTFD, or a filter hides it");
    } else if (user_mode_only_works()) {
        probe_say(p, PROBE_OK, "", "for the program's own faults only");
    } else {
        probe_say(p, PROBE_MISSING, way.device_err == ENOENT ? MEND_SYSCTL : MEND_ACCESS,
                  "system call: %s; " DEVICE ": %s", strerror(way.syscall_err), strerror(way.device_err));
    }
}

struct fault_server {
    int fd;
    char *page;
    size_t size;
    bool served;
};

// Waits for one fault and resolves it.
static void *
serve_fault(void *arg)
{
    struct fault_server *s = arg;
    struct pollfd wait = {.fd = s->fd, .events = POLLIN};
    struct uffdio_zeropage zero = {.range = {(uintptr_t)s->page, s->size}};
    struct uffd_msg msg;

    if (poll(&wait, 1, 2000) == 1 && read(s->fd, &msg, sizeof msg) == sizeof msg)
        s->served = ioctl(s->fd, UFFDIO_ZEROPAGE, &zero) == 0;
    if (!s->served) {
        // The kernel waits for the page: give it back its ordinary life.
        struct uffdio_range range = {(uintptr_t)s->page, s->size};

        ioctl(s->fd, UFFDIO_UNREGISTER, &range);
    }
    return NULL;
}

// Lets the kernel write into an absent page (a read from a pipe) and sees whether the fault reaches us.
static int
try_kernel_fault(int fd)
{
    struct fault_server s = {.fd = fd, .size = (size_t)sysconf(_SC_PAGESIZE)};
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING};
    int rc = -EFAULT, pipe_fd[2];
    pthread_t thread;

    s.page = mmap(NULL, s.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s.page == MAP_FAILED)
        return -errno;
    reg.range = (struct uffdio_range){(uintptr_t)s.page, s.size};
    if (pipe2(pipe_fd, O_CLOEXEC) != 0) {
        rc = -errno;
        goto out_page;
    }
    if (ioctl(fd, UFFDIO_API, &api) != 0 || ioctl(fd, UFFDIO_REGISTER, &reg) != 0) {
        rc = -errno;
        goto out_pipe;
    }
    rc = -pthread_create(&thread, NULL, serve_fault, &s);
    if (rc == 0) {
        bool arrived = write(pipe_fd[1], "z", 1) == 1 && read(pipe_fd[0], s.page, 1) == 1;

        pthread_join(thread, NULL);
        rc = arrived && s.served && s.page[0] == 'z' ? 0 : -EFAULT;
    }
out_pipe:
    close(pipe_fd[0]);
    close(pipe_fd[1]);
out_page:
    munmap(s.page, s.size);
    return rc;
}

void
probe_kernelfaults(struct probe *p)
{
    struct uffd_way way;
    int fd, rc;

    if (hidden(p, "kernelfaults", PROBE_MISSING))
        return;
    fd = open_uffd(&way);
    if (fd < 0) {
        probe_say(p, PROBE_MISSING, way.device_err == ENOENT ? MEND_SYSCTL : MEND_ACCESS,
                  "needs root, or CAP_SYS_PTRACE, or vm.unprivileged_userfaultfd=1, or access to " DEVICE
                  " (here: %s)",
                  strerror(way.device_err));
        return;
    }
    rc = try_kernel_fault(fd);
    close(fd);
    if (rc == 0)
        probe_say(p, PROBE_OK, "", "tried: a read into an absent page was served");
    else
        probe_say(p, PROBE_MISSING, "", "tried: a read into an absent page was not served: %s",
                  strerror(-rc));
}

// 0 and what the kernel offers, or -errno.
static int
offered(uint64_t *features)
{
    struct uffdio_api api = {.api = UFFD_API};
    struct uffd_way way;
    int fd = open_uffd(&way), rc = 0;

    if (fd < 0)
        fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    if (fd < 0)
        return -way.syscall_err;
    if (ioctl(fd, UFFDIO_API, &api) != 0)
        rc = -errno;
    close(fd);
    *features = api.features;
    return rc;
}

static void
check_feature(struct probe *p, uint64_t wanted, const char *effect)
{
    uint64_t features = 0;
    int rc = offered(&features);

    if (rc < 0)
        probe_say(p, PROBE_DEGRADED, "", "no userfaultfd to ask (%s)", strerror(-rc));
    else if ((features & wanted) == wanted)
        probe_say(p, PROBE_OK, "", "offered");
    else
        probe_say(p, PROBE_DEGRADED, "", "not offered by this kernel: %s", effect);
}

void
probe_wp(struct probe *p)
{
    if (hidden(p, "wp", PROBE_DEGRADED))
        return;
    check_feature(p, UFFD_FEATURE_PAGEFAULT_FLAG_WP, "pages that are touched are copied into place");
}

void
probe_move(struct probe *p)
{
    if (hidden(p, "move", PROBE_DEGRADED))
        return;
    check_feature(p, UFFD_FEATURE_MOVE, "pages that are touched are copied into place");
}

void
probe_events(struct probe *p)
{
    if (hidden(p, "events", PROBE_DEGRADED))
        return;
    check_feature(p, UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE,
                  "only the hooks see the program give memory back");
}

void
probe_forkevent(struct probe *p)
{
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_EVENT_FORK};
    struct uffd_way way;
    int fd;

    if (hidden(p, "events", PROBE_DEGRADED))
        return;
    fd = open_uffd(&way);
    if (fd < 0)
        probe_say(p, PROBE_DEGRADED, "", "no userfaultfd to ask");
    else if (ioctl(fd, UFFDIO_API, &api) == 0)
        probe_say(p, PROBE_OK, "", "offered");
    else
        probe_say(p, PROBE_OK, "", "%s, and not needed: the hooks see the program fork",
                  errno == EPERM ? "for CAP_SYS_PTRACE only" : "not offered");
    if (fd >= 0)
        close(fd);
}

void
probe_threadid(struct probe *p)
{
    if (hidden(p, "uffd", PROBE_DEGRADED))
        return;
    check_feature(p, UFFD_FEATURE_THREAD_ID, "faults are not told apart by thread");
}
