// SPDX-License-Identifier: Apache-2.0
// See fc.h.
#include "tests/unit/fc.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

char fc_dir[PATH_MAX], fc_url[PATH_MAX + 8];
char fc_message[1024], fc_codes[4096];

static const gid_t alice_groups[] = {1001, 2000}, bob_groups[] = {1002};
static const struct fsc_cred root = {0, 0, NULL, 0, 0}, alice = {1001, 1001, alice_groups, 2, 0},
                             bob = {1002, 1002, bob_groups, 1, 0};
const struct fsc_at fc_root = {.cred = &root}, fc_alice = {.cred = &alice}, fc_bob = {.cred = &bob};

static void
keep(void *arg, const char *text)
{
    snprintf(fc_message, sizeof fc_message, "%s", text);
    if (getenv("ZIO_TEST_VERBOSE"))
        print_message("# %s\n", text);
}

static const struct fsc_options options = {.message = keep};

void
fc_make(const struct fsc_format *fmt)
{
    struct fsc_format f = fmt ? *fmt : (struct fsc_format){0};
    const char *tmp = getenv("TMPDIR");

    snprintf(fc_dir, PATH_MAX, "%s/zio-fc-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(fc_dir));
    snprintf(fc_url, sizeof fc_url, "local:%s", fc_dir);
    if (!f.chunk_size)
        f.chunk_size = FC_CHUNK;
    if (!f.root_mode)
        f.root_mode = 01777;
    OK(fsc_format(fc_url, &f, &options));
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

void
fc_remove(void)
{
    OK(nftw(fc_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS));
}

struct fsc *
fc_open(unsigned flags)
{
    struct fsc_options opt = options;
    struct fsc *fs = NULL;
    int err;

    opt.flags = flags;
    err = fsc_open_volume(fc_url, &opt, &fs);
    if (err)
        fail_msg("%s: %s: %s", fc_url, strerror(-err), fc_message);
    return fs;
}

static int
finding(void *arg, const char *code, const char *text, bool repaired, uint64_t done, uint64_t total)
{
    size_t n = strlen(fc_codes);

    if (!code)
        return 0;
    snprintf(fc_codes + n, sizeof fc_codes - n, "%s ", code);
    print_message("# %s: %s%s\n", code, text, repaired ? " (mended)" : "");
    return 0;
}

uint64_t
fc_findings(struct fsc *fs, bool repair)
{
    struct fsc_check out;
    int err;

    fc_codes[0] = '\0';
    err = fsc_fsck(fs, repair, finding, NULL, &out);
    if (err)
        fail_msg("the check: %s; %s", strerror(-err), fc_message);
    return out.findings;
}

void
fc_check(struct fsc *fs)
{
    IS(fc_findings(fs, false), 0);
}

struct fsc_file *
fc_file(struct fsc *fs, const char *path, int flags)
{
    struct fsc_file *f = NULL;
    int err = fsc_open(fs, &fc_root, path, flags, 0644, &f);

    if (err)
        fail_msg("open of %s: %s; %s", path, strerror(-err), fc_message);
    return f;
}

void
fc_put(struct fsc *fs, const char *path, const char *text)
{
    struct fsc_file *f = fc_file(fs, path, O_CREAT | O_TRUNC | O_WRONLY);

    IS(fsc_pwrite(f, text, strlen(text), 0), strlen(text));
    OK(fsc_close(f));
}

void
fc_same(struct fsc *fs, const char *path, const char *text)
{
    struct fsc_file *f = fc_file(fs, path, O_RDONLY);
    char buf[4096];
    ssize_t n = fsc_pread(f, buf, sizeof buf - 1, 0);

    assert_true(n >= 0);
    buf[n] = '\0';
    assert_string_equal(buf, text);
    OK(fsc_close(f));
}

uint64_t
fc_size(struct fsc *fs, const char *path)
{
    struct stat st;

    OK(fsc_stat(fs, &fc_root, path, 0, &st));
    return (uint64_t)st.st_size;
}

int
fc_wait(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 255;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
