// SPDX-License-Identifier: Apache-2.0
// Owners of fcntl's locks that outlive a handle: those that several handles speak for (FSC_OWNER_SHARED), and
// those that a program hands on to the one that it executes.
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>

#include "tests/unit/fc.h"

#define SHARED (FSC_OWNER_SHARED | 4711)

static struct fsc *fs, *other;

static int
make(void **state)
{
    fc_make(NULL);
    fs = fc_open(0);
    other = fc_open(0);
    fc_put(fs, "a", "x");
    return 0;
}

static int
end(void **state)
{
    fc_check(fs);
    fsc_close_volume(other);
    fsc_close_volume(fs);
    fc_remove();
    return 0;
}

// What says that the owner is there.
static int
byte_of(uint64_t owner)
{
    struct flock l = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = (off_t)owner, .l_len = 1};
    char path[4200];
    int fd;

    snprintf(path, sizeof path, "%s/tokens", fc_dir);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    OK(fcntl(fd, F_OFD_SETLK, &l));
    return fd;
}

static void
test_shared(void **state)
{
    struct fsc_lock all = {0, UINT64_MAX, F_WRLCK, -1}, read = {0, 9, F_RDLCK, -1}, asked = all;
    struct fsc_file *f = fc_file(fs, "a", O_RDWR), *g = fc_file(other, "a", O_RDWR);
    int fd = byte_of(SHARED), dup_of_it = dup(fd);

    OK(fsc_setlk(f, SHARED, &all, 0));
    IS(fsc_setlk(g, 1, &read, 0), -EAGAIN);
    IS(fsc_setlk(f, 1, &read, 0), -EAGAIN); // also of the session that took it
    OK(fsc_setlk(g, SHARED, &read, 0));     // another session speaks for the owner
    OK(fsc_getlk(f, 1, &asked));
    IS(asked.type, F_RDLCK);
    IS(asked.end, 9);
    IS(asked.pid, -1);
    OK(fsc_close(f));
    f = fc_file(fs, "a", O_RDWR);
    close(fd);
    IS(fsc_setlk(f, 1, &all, 0), -EAGAIN); // the copy has it still
    close(dup_of_it);
    OK(fsc_setlk(f, 1, &all, 0)); // nobody unlocked, and nobody is there
    IS(fsc_setlk(g, SHARED, &read, 0), -EAGAIN);
    OK(fsc_unlock_owner(f, 1));
    fd = byte_of(SHARED);
    OK(fsc_setlk(g, SHARED, &read, 0));
    OK(fsc_unlock_owner(f, SHARED));
    OK(fsc_setlk(f, 1, &all, 0));
    OK(fsc_unlock_owner(f, 1));
    close(fd);
    OK(fsc_close(f));
    OK(fsc_close(g));
}

static void
test_taken(void **state)
{
    struct fsc_lock all = {0, UINT64_MAX, F_WRLCK, 11}, asked = all;
    struct fsc_file *f = fc_file(fs, "a", O_RDWR), *g = fc_file(other, "a", O_RDWR);
    uint64_t from = fsc_session(fs);
    pid_t pid;

    assert_true(from != 0 && from != fsc_session(other));
    OK(fsc_setlk(f, 7, &all, 0));
    IS(fsc_setlk(g, 7, &all, 0), -EAGAIN);
    IS(fsc_take_locks(other, from + (1 << 16), 7), -ESRCH); // no such session
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fsc_take_locks(other, from, 7) == -ESRCH ? 0 : 1); // of another process
    IS(fc_wait(pid), 0);
    OK(fsc_take_locks(other, from, 8)); // has none
    IS(fsc_setlk(g, 7, &all, 0), -EAGAIN);
    OK(fsc_take_locks(other, from, 7));
    OK(fsc_take_locks(other, fsc_session(other), 7)); // its own already
    OK(fsc_setlk(g, 7, &all, 0));
    IS(fsc_setlk(f, 7, &all, 0), -EAGAIN);
    OK(fsc_getlk(f, 7, &asked));
    IS(asked.pid, 11);
    OK(fsc_unlock_owner(g, 7));
    OK(fsc_setlk(f, 7, &all, 0));
    OK(fsc_unlock_owner(f, 7));
    OK(fsc_close(f));
    OK(fsc_close(g));
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, make, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {T(shared), T(taken)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
