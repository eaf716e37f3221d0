// SPDX-License-Identifier: Apache-2.0
// See ns.h.
#include "tests/unit/ns.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char ns_dir[PATH_MAX];
char ns_message[1024];

static const gid_t alice_groups[] = {1001, 2000}, bob_groups[] = {1002};
const struct meta_cred ns_alice = {1001, 1001, alice_groups, 2, 0};
const struct meta_cred ns_bob = {1002, 1002, bob_groups, 1, 0};

static void
keep(void *arg, const char *text)
{
    snprintf(ns_message, sizeof(ns_message), "%s", text);
    if (getenv("ZIO_TEST_VERBOSE"))
        print_message("# %s\n", text);
}

void
ns_make(const struct meta_format *fmt)
{
    struct meta_options opt = {.message = keep};
    const char *tmp = getenv("TMPDIR");

    snprintf(ns_dir, PATH_MAX, "%s/zio-ns-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(ns_dir));
    assert_int_equal(meta_format(ns_dir, fmt, &opt), 0);
}

void
ns_remove(void)
{
    DIR *d = opendir(ns_dir);
    struct dirent *e;

    assert_non_null(d);
    while ((e = readdir(d)))
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    assert_int_equal(rmdir(ns_dir), 0);
}

struct meta *
ns_open(unsigned flags)
{
    struct meta_options opt = {.message = keep, .cache_inodes = 256};
    struct meta *m = NULL;

    assert_int_equal(meta_open(ns_dir, flags, &opt, &m), 0);
    return m;
}

static void
finding(void *arg, const char *code, uint64_t ino, const char *text, bool repaired)
{
    print_message("# %s: %s%s\n", code, text, repaired ? " (mended)" : "");
}

uint64_t
ns_findings(struct meta *m, unsigned flags)
{
    struct meta_fsck f;

    int r = meta_fsck(m, flags, finding, NULL, &f);

    if (r < 0)
        fail_msg("the check: %s; %s", strerror(-r), ns_message);
    return f.findings;
}

void
ns_check(struct meta *m)
{
    assert_int_equal(ns_findings(m, 0), 0);
}
