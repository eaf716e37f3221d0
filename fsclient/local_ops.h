// SPDX-License-Identifier: Apache-2.0
// The operations of the embedded driver that are spread over local_names.c, local_admin.c and local_check.c;
// struct fsc_driver says what each does.
#ifndef FSCLIENT_LOCAL_OPS_H
#define FSCLIENT_LOCAL_OPS_H

#include "fsclient/local.h"

int local_lookup(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name,
                 struct fsc_attr *attr);
int local_getattr(struct fsc *fs, uint64_t ino, struct fsc_attr *attr);
int local_setattr(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, unsigned set,
                  const struct fsc_attr *in, struct fsc_attr *attr);
int local_access(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, int mode);
int local_mknod(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name, mode_t mode,
                uint64_t rdev, struct fsc_attr *attr);
int local_symlink(struct fsc *fs, const struct fsc_cred *cred, const char *text, uint64_t dir,
                  const char *name, struct fsc_attr *attr);
int local_link(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, uint64_t dir, const char *name,
               struct fsc_attr *attr);
int local_unlink(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name);
int local_rmdir(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name);
int local_rename(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name,
                 uint64_t new_dir, const char *new_name, unsigned flags);
ssize_t local_readlink(struct fsc *fs, uint64_t ino, char *buf, size_t size);
ssize_t local_readdir(struct fsc *fs, uint64_t dir, uint64_t cookie, struct fsc_dirent *v, size_t n);
int local_setxattr(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, const char *name,
                   const void *value, size_t size, int flags);
ssize_t local_getxattr(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, const char *name,
                       void *value, size_t size);
ssize_t local_listxattr(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, char *list, size_t size);
int local_removexattr(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, const char *name);
uint64_t local_version(struct fsc *fs, uint64_t ino);
int local_watch(struct fsc *fs);
uint32_t local_watch_slot(struct fsc *fs, uint64_t ino);
bool local_watch_news(struct fsc *fs, uint64_t ino);
int local_watch_wait(struct fsc *fs, int wait_ms, fsc_watch_fn fn, void *arg);
int local_open(struct fsc_file *file, const struct fsc_cred *cred, uint64_t ino, struct fsc_attr *attr);
int local_create(struct fsc_file *file, const struct fsc_cred *cred, uint64_t dir, const char *name,
                 mode_t mode, struct fsc_attr *attr);
int local_tmpfile(struct fsc_file *file, const struct fsc_cred *cred, uint64_t dir, mode_t mode,
                  struct fsc_attr *attr);
void local_close(struct fsc_file *file);
int local_hold(struct fsc *fs, uint64_t ino);
int local_release(struct fsc *fs, uint64_t ino);
int local_setlk(struct fsc_file *file, uint64_t owner, const struct fsc_lock *lock, int wait_ms);
int local_getlk(struct fsc_file *file, uint64_t owner, struct fsc_lock *lock);
int local_unlock_owner(struct fsc_file *file, uint64_t owner);
int local_take_locks(struct fsc *fs, uint64_t session, uint64_t owner);
uint64_t local_session(struct fsc *fs);

// local_flock.c
int local_flock(struct fsc_file *file, int op, int wait_ms);
bool local_owner_alive(void *local, uint64_t owner); // of fcntl's locks: one with FSC_OWNER_SHARED
int local_make_like(const char *dir, const char *name);
void local_token_close(struct local *l, struct fsc_file *file); // of a file that nobody uses any more
bool local_token_owns(struct local *l, int fd);

// local_node.c
void local_node_gone(struct local *l, uint64_t ino,
                     mode_t mode); // a FIFO or a socket that has no name any more
void local_node_sweep(struct local *l);

// local_admin.c
int local_clone_tree(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, uint64_t dir,
                     const char *name, bool snapshot);
int local_remove_tree(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name,
                      uint64_t *removed);
int local_usage(struct fsc *fs, struct fsc_usage *usage);
int local_quota_set(struct fsc *fs, const struct fsc_cred *cred, enum fsc_quota_kind kind, uint64_t id,
                    uint64_t max_space, uint64_t max_inodes);
int local_quota_get(struct fsc *fs, enum fsc_quota_kind kind, uint64_t id, struct fsc_usage *usage);
ssize_t local_quota_list(struct fsc *fs, size_t skip, struct fsc_quota *v, size_t n);
ssize_t local_trash_list(struct fsc *fs, const struct fsc_cred *cred, uint64_t after, struct fsc_trash *v,
                         size_t n);
int local_trash_restore(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, uint64_t dir,
                        const char *name);
ssize_t local_trash_purge(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino);
ssize_t local_sessions(struct fsc *fs, size_t skip, struct fsc_session *v, size_t n);
int local_statvfs(struct fsc *fs, uint64_t ino, struct statvfs *out);
// local_check.c
int local_fsck(struct fsc *fs, bool repair, fsc_check_fn fn, void *arg, struct fsc_check *out);
int local_scrub(struct fsc *fs, fsc_check_fn fn, void *arg, struct fsc_check *out);
// local_conf.c: DIR/volume.conf, the file that makes a directory a volume
int conf_write(const char *dir, const struct fsc_options *opt);
int conf_read(const char *dir, const struct fsc_options *opt);

#endif
