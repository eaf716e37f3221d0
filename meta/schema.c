// SPDX-License-Identifier: Apache-2.0
// The schema as a list of steps, each from one version to the next. A step that was released is never edited:
// a change is a new step. The upgrade is one transaction, so that it is done or not.
#include "meta/schema.h"

#include <errno.h>

#define RELEASE_1                                                                                            \
    "CREATE TABLE volume(key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID;"                                   \
    "CREATE TABLE inode(ino INTEGER PRIMARY KEY, mode INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER "  \
    "NOT NULL,"                                                                                              \
    " nlink INTEGER NOT NULL, rdev INTEGER NOT NULL, size INTEGER NOT NULL, space INTEGER NOT NULL,"         \
    " atime INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL, btime INTEGER NOT NULL,"       \
    " parent INTEGER NOT NULL, flags INTEGER NOT NULL, quota INTEGER NOT NULL, nchunk INTEGER NOT NULL);"    \
    "CREATE TABLE name(parent INTEGER NOT NULL, hash INTEGER NOT NULL, ino INTEGER NOT NULL, type INTEGER "  \
    "NOT NULL,"                                                                                              \
    " name BLOB NOT NULL, PRIMARY KEY(parent, hash)) WITHOUT ROWID;"                                         \
    "CREATE TABLE link(ino INTEGER PRIMARY KEY, text BLOB NOT NULL);"                                        \
    "CREATE TABLE xattr(ino INTEGER NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY(ino, "    \
    "name))"                                                                                                 \
    " WITHOUT ROWID;"                                                                                        \
    "CREATE TABLE chunk(ino INTEGER NOT NULL, idx INTEGER NOT NULL, id INTEGER NOT NULL, length INTEGER "    \
    "NOT NULL,"                                                                                              \
    " space INTEGER NOT NULL, PRIMARY KEY(ino, idx)) WITHOUT ROWID;"                                         \
    "CREATE TABLE refs(id INTEGER PRIMARY KEY, n INTEGER NOT NULL);"                                         \
    "CREATE TABLE garbage(id INTEGER PRIMARY KEY, session INTEGER NOT NULL);"                                \
    "CREATE TABLE orphan(ino INTEGER PRIMARY KEY);"                                                          \
    "CREATE TABLE usage(kind INTEGER NOT NULL, id INTEGER NOT NULL, space INTEGER NOT NULL, inodes INTEGER " \
    "NOT NULL,"                                                                                              \
    " max_space INTEGER NOT NULL, max_inodes INTEGER NOT NULL, parent INTEGER NOT NULL, PRIMARY KEY(kind, "  \
    "id))"                                                                                                   \
    " WITHOUT ROWID;"                                                                                        \
    "CREATE TABLE trash(ino INTEGER PRIMARY KEY, parent INTEGER NOT NULL, deleted INTEGER NOT NULL,"         \
    " name BLOB NOT NULL);"                                                                                  \
    "CREATE TABLE lock(ino INTEGER NOT NULL, kind INTEGER NOT NULL, session INTEGER NOT NULL, owner "        \
    "INTEGER NOT NULL,"                                                                                      \
    " start INTEGER NOT NULL, stop INTEGER NOT NULL, type INTEGER NOT NULL, pid INTEGER NOT NULL,"           \
    " PRIMARY KEY(ino, kind, session, owner, start)) WITHOUT ROWID;"

// Who waits for whose lock, so that a circle is refused with EDEADLK.
#define RELEASE_2                                                                                            \
    "CREATE TABLE lockwait(session INTEGER NOT NULL, owner INTEGER NOT NULL, on_session INTEGER NOT NULL,"   \
    " on_owner INTEGER NOT NULL, PRIMARY KEY(session, owner)) WITHOUT ROWID;"

static const char *const steps[META_SCHEMA] = {RELEASE_1, RELEASE_2};

int
schema_upgrade(struct meta_db *db, uint32_t to, const struct meta_say *say)
{
    uint32_t version;
    int r = db_get_version(db, &version);

    if (r < 0 || version == to)
        return r;
    if (version > to) {
        meta_say(say,
                 "the volume's schema is version %u, this program knows up to %u; use a newer release of zIO",
                 version, to);
        return -EPROTONOSUPPORT;
    }
    if ((r = db_begin(db)) < 0)
        return r;
    for (uint32_t v = version; r == 0 && v < to; v++)
        r = db_script(db, steps[v]);
    if (r == 0)
        r = db_set_version(db, to);
    if (r == 0)
        return db_commit(db);
    db_rollback(db);
    return r;
}
