// SPDX-License-Identifier: Apache-2.0
// Every statement of the engine: name, SQLite's text, and PostgreSQL's where it differs (NULL: the same;
// parameters are ?1, ?2 here, and the other dialect's driver writes $1, $2). Nothing else in the engine holds
// SQL but the migrations in schema.c.
#ifndef ZIO_META_SQL_H
#define ZIO_META_SQL_H

// clang-format off
#define META_SQL(S) \
    S(BEGIN, "BEGIN IMMEDIATE", "BEGIN ISOLATION LEVEL SERIALIZABLE") \
    S(COMMIT, "COMMIT", NULL) \
    S(ROLLBACK, "ROLLBACK", NULL) \
    /* the volume */ \
    S(VOLUME_GET, "SELECT value FROM volume WHERE key = ?1", NULL) \
    S(VOLUME_PUT, "INSERT INTO volume(key, value) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value = excluded.value", NULL) \
    /* rows, one by one: what the log is applied with */ \
    S(INODE_GET, "SELECT mode, uid, gid, nlink, rdev, size, space, atime, mtime, ctime, btime, parent, flags, quota, nchunk FROM inode WHERE ino = ?1", NULL) \
    S(INODE_PUT, "REPLACE INTO inode(ino, mode, uid, gid, nlink, rdev, size, space, atime, mtime, ctime, btime, parent, flags, quota, nchunk) " \
        "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)", \
        "INSERT INTO inode(ino, mode, uid, gid, nlink, rdev, size, space, atime, mtime, ctime, btime, parent, flags, quota, nchunk) " \
        "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) ON CONFLICT(ino) DO UPDATE SET " \
        "mode = ?2, uid = ?3, gid = ?4, nlink = ?5, rdev = ?6, size = ?7, space = ?8, atime = ?9, mtime = ?10, ctime = ?11, " \
        "btime = ?12, parent = ?13, flags = ?14, quota = ?15, nchunk = ?16") \
    S(INODE_DEL, "DELETE FROM inode WHERE ino = ?1", NULL) \
    S(NAME_GET, "SELECT ino, type, name FROM name WHERE parent = ?1 AND hash = ?2", NULL) \
    S(NAME_PUT, "REPLACE INTO name(parent, hash, ino, type, name) VALUES(?1, ?2, ?3, ?4, ?5)", \
        "INSERT INTO name(parent, hash, ino, type, name) VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(parent, hash) DO UPDATE SET ino = ?3, type = ?4, name = ?5") \
    S(NAME_DEL, "DELETE FROM name WHERE parent = ?1 AND hash = ?2", NULL) \
    S(CHUNK_GET, "SELECT id, length, space FROM chunk WHERE ino = ?1 AND idx = ?2", NULL) \
    S(CHUNK_PUT, "REPLACE INTO chunk(ino, idx, id, length, space) VALUES(?1, ?2, ?3, ?4, ?5)", \
        "INSERT INTO chunk(ino, idx, id, length, space) VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(ino, idx) DO UPDATE SET id = ?3, length = ?4, space = ?5") \
    S(CHUNK_DEL, "DELETE FROM chunk WHERE ino = ?1 AND idx = ?2", NULL) \
    S(USAGE_GET, "SELECT space, inodes, max_space, max_inodes, parent FROM usage WHERE kind = ?1 AND id = ?2", NULL) \
    S(USAGE_PUT, "REPLACE INTO usage(kind, id, space, inodes, max_space, max_inodes, parent) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)", \
        "INSERT INTO usage(kind, id, space, inodes, max_space, max_inodes, parent) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) " \
        "ON CONFLICT(kind, id) DO UPDATE SET space = ?3, inodes = ?4, max_space = ?5, max_inodes = ?6, parent = ?7") \
    S(USAGE_DEL, "DELETE FROM usage WHERE kind = ?1 AND id = ?2", NULL) \
    S(LINK_GET, "SELECT text FROM link WHERE ino = ?1", NULL) \
    S(LINK_PUT, "INSERT INTO link(ino, text) VALUES(?1, ?2)", NULL) \
    S(LINK_DEL, "DELETE FROM link WHERE ino = ?1", NULL) \
    S(REFS_GET, "SELECT n FROM refs WHERE id = ?1", NULL) \
    S(REFS_PUT, "REPLACE INTO refs(id, n) VALUES(?1, ?2)", "INSERT INTO refs(id, n) VALUES(?1, ?2) ON CONFLICT(id) DO UPDATE SET n = ?2") \
    S(REFS_DEL, "DELETE FROM refs WHERE id = ?1", NULL) \
    S(GARBAGE_GET, "SELECT session FROM garbage WHERE id = ?1", NULL) \
    S(GARBAGE_PUT, "INSERT INTO garbage(id, session) VALUES(?1, 0) ON CONFLICT(id) DO NOTHING", NULL) \
    S(GARBAGE_DEL, "DELETE FROM garbage WHERE id = ?1", NULL) \
    S(ORPHAN_GET, "SELECT ino FROM orphan WHERE ino = ?1", NULL) \
    S(ORPHAN_PUT, "INSERT INTO orphan(ino) VALUES(?1) ON CONFLICT(ino) DO NOTHING", NULL) \
    S(ORPHAN_DEL, "DELETE FROM orphan WHERE ino = ?1", NULL) \
    S(TRASH_GET, "SELECT parent, deleted, name FROM trash WHERE ino = ?1", NULL) \
    S(TRASH_PUT, "REPLACE INTO trash(ino, parent, deleted, name) VALUES(?1, ?2, ?3, ?4)", \
        "INSERT INTO trash(ino, parent, deleted, name) VALUES(?1, ?2, ?3, ?4) ON CONFLICT(ino) DO UPDATE SET parent = ?2, deleted = ?3, name = ?4") \
    S(TRASH_DEL, "DELETE FROM trash WHERE ino = ?1", NULL) \
    /* ranges */ \
    S(NAME_LIST, "SELECT hash, ino, type, name FROM name WHERE parent = ?1 AND hash > ?2 ORDER BY hash LIMIT ?3", NULL) \
    S(CHUNK_LIST, "SELECT c.idx, c.id, c.length, c.space, r.n FROM chunk c LEFT JOIN refs r ON r.id = c.id " \
        "WHERE c.ino = ?1 AND c.idx >= ?2 AND c.idx <= ?3 ORDER BY c.idx LIMIT ?4", NULL) \
    S(ORPHAN_LIST, "SELECT ino FROM orphan WHERE ino > ?1 ORDER BY ino LIMIT ?2", NULL) \
    S(USAGE_LIST, "SELECT kind, id, space, inodes, max_space, max_inodes FROM usage WHERE kind > 0 ORDER BY kind, id LIMIT ?1 OFFSET ?2", NULL) \
    S(TRASH_LIST, "SELECT t.ino, t.parent, t.deleted, t.name, i.uid, i.size FROM trash t JOIN inode i ON i.ino = t.ino " \
        "WHERE t.ino > ?1 AND (i.uid = ?2 OR ?2 < 0) ORDER BY t.ino LIMIT ?3", NULL) \
    S(TRASH_EXPIRED, "SELECT t.ino FROM trash t JOIN inode i ON i.ino = t.ino WHERE t.deleted <= ?1 AND (i.uid = ?2 OR ?2 < 0) LIMIT ?3", NULL) \
    S(GARBAGE_LIST, "SELECT id, session FROM garbage WHERE id > ?1 ORDER BY id LIMIT ?2", NULL) \
    S(GARBAGE_CLAIM, "UPDATE garbage SET session = ?2 WHERE id = ?1", NULL) \
    S(GARBAGE_UNCLAIM, "UPDATE garbage SET session = 0 WHERE session = ?1", NULL) \
    S(CHUNK_USED, "SELECT 1 FROM chunk WHERE id = ?1 LIMIT 1", NULL) \
    /* extended attributes */ \
    S(XATTR_GET, "SELECT value FROM xattr WHERE ino = ?1 AND name = ?2", NULL) \
    S(XATTR_PUT, "INSERT INTO xattr(ino, name, value) VALUES(?1, ?2, ?3) ON CONFLICT(ino, name) DO UPDATE SET value = excluded.value", NULL) \
    S(XATTR_DEL, "DELETE FROM xattr WHERE ino = ?1 AND name = ?2", NULL) \
    S(XATTR_LIST, "SELECT name FROM xattr WHERE ino = ?1 ORDER BY name", NULL) \
    S(XATTR_CLEAR, "DELETE FROM xattr WHERE ino = ?1", NULL) \
    /* locks */ \
    S(LOCK_LIST, "SELECT session, owner, start, stop, type, pid FROM lock WHERE ino = ?1 AND kind = ?2 AND start <= ?4 AND stop >= ?3 " \
      "ORDER BY session, owner, start", NULL) \
    S(LOCK_PUT, "INSERT INTO lock(ino, kind, session, owner, start, stop, type, pid) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", NULL) \
    S(LOCK_CLEAR, "DELETE FROM lock WHERE ino = ?1 AND kind = ?2 AND session = ?3 AND owner = ?4", NULL) \
    S(LOCK_CUT, "DELETE FROM lock WHERE ino = ?1 AND kind = ?2 AND session = ?3 AND owner = ?4 AND start BETWEEN ?5 AND ?6", NULL) \
    S(LOCK_SESSION, "SELECT DISTINCT ino FROM lock WHERE session = ?1", NULL) \
    S(LOCK_DEAD, "DELETE FROM lock WHERE session = ?1", NULL) \
    S(LOCK_TAKE, "UPDATE lock SET session = ?2 WHERE session = ?1 AND owner = ?3", NULL) \
    S(LOCK_SESSIONS, "SELECT DISTINCT session FROM lock UNION SELECT DISTINCT session FROM lockwait UNION SELECT DISTINCT session FROM garbage WHERE session > 0", NULL) \
    S(WAIT_PUT, "INSERT INTO lockwait(session, owner, on_session, on_owner) VALUES(?1, ?2, ?3, ?4) " \
        "ON CONFLICT(session, owner) DO UPDATE SET on_session = excluded.on_session, on_owner = excluded.on_owner", NULL) \
    S(WAIT_GET, "SELECT on_session, on_owner FROM lockwait WHERE session = ?1 AND owner = ?2", NULL) \
    S(WAIT_DEL, "DELETE FROM lockwait WHERE session = ?1 AND owner = ?2", NULL) \
    S(WAIT_DEAD, "DELETE FROM lockwait WHERE session = ?1", NULL) \
    /* trees: the inodes of a tree, numbered, in a table of this connection */ \
    S(TREE_CLEAR, "DELETE FROM tree", NULL) \
    S(TREE_FILL, "INSERT INTO tree(ino) WITH RECURSIVE t(ino) AS (SELECT ?1 UNION SELECT n.ino FROM t JOIN name n ON n.parent = t.ino) SELECT ino FROM t", NULL) \
    S(TREE_COUNT, "SELECT count(*), coalesce(max(n), 0) FROM tree", NULL) \
    S(TREE_SUM, "SELECT i.uid, count(*), sum(i.space) FROM tree t JOIN inode i ON i.ino = t.ino GROUP BY i.uid", NULL) \
    S(TREE_INODES, "INSERT INTO inode(ino, mode, uid, gid, nlink, rdev, size, space, atime, mtime, ctime, btime, parent, flags, quota, nchunk) " \
        "SELECT ?1 + t.n, i.mode, i.uid, i.gid, i.nlink, i.rdev, i.size, i.space, " \
        "i.atime, i.mtime, ?2, ?2, coalesce(?1 + p.n, 0), (i.flags & ~?5) | ?3, ?4, i.nchunk FROM tree t JOIN inode i ON i.ino = t.ino LEFT JOIN tree p ON p.ino = i.parent", NULL) \
    S(TREE_LINKS, "SELECT n.ino, count(*) FROM tree t JOIN name n ON n.parent = t.ino JOIN inode i ON i.ino = n.ino " \
        "WHERE i.nlink > 1 AND (i.mode & 61440) <> 16384 GROUP BY n.ino", NULL) \
    S(TREE_NEW, "SELECT n FROM tree WHERE ino = ?1", NULL) \
    S(SET_NLINK, "UPDATE inode SET nlink = ?2 WHERE ino = ?1", NULL) \
    S(TREE_NAMES, "INSERT INTO name(parent, hash, ino, type, name) SELECT ?1 + p.n, n.hash, ?1 + c.n, n.type, n.name " \
        "FROM tree p JOIN name n ON n.parent = p.ino JOIN tree c ON c.ino = n.ino", NULL) \
    S(TREE_TEXTS, "INSERT INTO link(ino, text) SELECT ?1 + t.n, l.text FROM tree t JOIN link l ON l.ino = t.ino", NULL) \
    S(TREE_XATTRS, "INSERT INTO xattr(ino, name, value) SELECT ?1 + t.n, x.name, x.value FROM tree t JOIN xattr x ON x.ino = t.ino", NULL) \
    S(TREE_REFS, "INSERT INTO refs(id, n) SELECT c.id, 1 + count(*) FROM tree t JOIN chunk c ON c.ino = t.ino WHERE true GROUP BY c.id " \
        "ON CONFLICT(id) DO UPDATE SET n = refs.n + excluded.n - 1", NULL) \
    S(TREE_CHUNKS, "INSERT INTO chunk(ino, idx, id, length, space) SELECT ?1 + t.n, c.idx, c.id, c.length, c.space FROM tree t JOIN chunk c ON c.ino = t.ino", NULL) \
    S(TREE_SWAP, "UPDATE chunk SET id = ?2 WHERE id = ?1 AND ino > ?3 AND ino <= ?4", NULL) \
    S(TREE_SWAPPED, "SELECT 1 FROM chunk WHERE id = ?1 LIMIT 1", NULL) \
    S(TREE_UNREF, "DELETE FROM refs WHERE id = ?1 AND n = 2", NULL) \
    S(TREE_QUOTA, "UPDATE inode SET quota = ?1 WHERE ino IN (SELECT ino FROM tree) AND quota = ?2", NULL) \
    S(QUOTA_CHILDREN, "UPDATE usage SET parent = ?1 WHERE kind = 2 AND parent = ?2 AND id <> ?1 AND id IN (SELECT ino FROM tree)", NULL) \
    S(TREE_UNNAME, "DELETE FROM name WHERE parent IN (SELECT ino FROM tree)", NULL) \
    S(TREE_LEADS_OUT, "SELECT i.ino FROM tree t JOIN inode i ON i.ino = t.ino LEFT JOIN (SELECT n.ino AS ino, count(*) AS n FROM tree d JOIN name n ON n.parent = d.ino GROUP BY n.ino) c " \
        "ON c.ino = i.ino WHERE i.nlink > 1 AND (i.mode & 61440) <> 16384 AND i.nlink > coalesce(c.n, 0) LIMIT 1", NULL) \
    S(TREE_LIST, "SELECT t.n, t.ino FROM tree t WHERE t.n > ?1 ORDER BY t.n LIMIT ?2", NULL) \
    /* the check */ \
    S(FSCK_COUNT, "SELECT (SELECT count(*) FROM inode), (SELECT count(*) FROM name), (SELECT count(*) FROM chunk)", NULL) \
    S(FSCK_DANGLING, "SELECT n.parent, n.hash, n.ino, n.name FROM name n LEFT JOIN inode i ON i.ino = n.ino WHERE i.ino IS NULL", NULL) \
    S(FSCK_NODIR, "SELECT n.parent, n.hash, n.ino, n.name FROM name n LEFT JOIN inode i ON i.ino = n.parent WHERE i.ino IS NULL OR (i.mode & 61440) <> 16384", NULL) \
    S(FSCK_TYPE, "SELECT n.parent, n.hash, n.ino, n.type, (i.mode & 61440) / 4096 FROM name n JOIN inode i ON i.ino = n.ino WHERE n.type <> (i.mode & 61440) / 4096", NULL) \
    S(FSCK_FIX_TYPE, "UPDATE name SET type = ?3 WHERE parent = ?1 AND hash = ?2", NULL) \
    S(FSCK_NLINK_FILE, "SELECT i.ino, i.nlink, coalesce(c.n, 0) AS have FROM inode i LEFT JOIN (SELECT ino, count(*) AS n FROM name GROUP BY ino) c ON c.ino = i.ino " \
        "WHERE (i.mode & 61440) <> 16384 AND i.nlink <> coalesce(c.n, 0)", NULL) \
    S(FSCK_NLINK_DIR, "SELECT i.ino, i.nlink, 2 + coalesce(c.n, 0) FROM inode i LEFT JOIN (SELECT parent, count(*) AS n FROM name WHERE type = 4 GROUP BY parent) c ON c.parent = i.ino " \
        "WHERE (i.mode & 61440) = 16384 AND i.nlink > 0 AND i.nlink <> 2 + coalesce(c.n, 0)", NULL) \
    S(FSCK_ENTRIES, "SELECT i.ino, i.size, coalesce(c.n, 0) FROM inode i LEFT JOIN (SELECT parent, count(*) AS n FROM name GROUP BY parent) c ON c.parent = i.ino " \
        "WHERE (i.mode & 61440) = 16384 AND i.size <> coalesce(c.n, 0)", NULL) \
    S(FSCK_FIX_SIZE, "UPDATE inode SET size = ?2 WHERE ino = ?1", NULL) \
    S(FSCK_PARENT, "SELECT n.ino, i.parent, n.parent FROM name n JOIN inode i ON i.ino = n.ino WHERE n.type = 4 AND i.parent <> n.parent", NULL) \
    S(FSCK_FIX_PARENT, "UPDATE inode SET parent = ?2 WHERE ino = ?1", NULL) \
    S(FSCK_LOST, "SELECT i.ino, i.mode, i.nlink FROM inode i WHERE i.ino <> 1 AND i.ino NOT IN (SELECT ino FROM name) AND i.ino NOT IN (SELECT ino FROM orphan) " \
        "AND i.ino NOT IN (SELECT ino FROM trash)", NULL) \
    S(FSCK_ORPHAN, "SELECT o.ino FROM orphan o LEFT JOIN inode i ON i.ino = o.ino WHERE i.ino IS NULL OR i.nlink > 0", NULL) \
    S(FSCK_TRASH, "SELECT t.ino FROM trash t LEFT JOIN inode i ON i.ino = t.ino WHERE i.ino IS NULL OR i.nlink > 0", NULL) \
    S(FSCK_CHUNK_LOST, "SELECT c.ino, c.idx, c.id FROM chunk c LEFT JOIN inode i ON i.ino = c.ino WHERE i.ino IS NULL", NULL) \
    S(FSCK_NCHUNK, "SELECT i.ino, i.nchunk, coalesce(c.n, 0), i.space, coalesce(c.s, 0) FROM inode i LEFT JOIN (SELECT ino, count(*) AS n, sum(space) AS s FROM chunk GROUP BY ino) c " \
        "ON c.ino = i.ino WHERE i.nchunk <> coalesce(c.n, 0) OR i.space <> coalesce(c.s, 0)", NULL) \
    S(FSCK_FIX_NCHUNK, "UPDATE inode SET nchunk = ?2, space = ?3 WHERE ino = ?1", NULL) \
    S(FSCK_REFS, "SELECT c.id, c.n, coalesce(r.n, 1) FROM (SELECT id, count(*) AS n FROM chunk GROUP BY id) c LEFT JOIN refs r ON r.id = c.id WHERE c.n <> coalesce(r.n, 1)", NULL) \
    S(FSCK_REFS_LOST, "SELECT id, n FROM refs WHERE id NOT IN (SELECT id FROM chunk)", NULL) \
    S(FSCK_GARBAGE, "SELECT id FROM garbage WHERE id IN (SELECT id FROM chunk)", NULL) \
    S(FSCK_USAGE, "SELECT kind, id, space, inodes, have_space, have_inodes FROM (SELECT u.kind AS kind, u.id AS id, u.space AS space, u.inodes AS inodes, " \
        "CASE u.kind WHEN 0 THEN (SELECT coalesce(sum(space), 0) FROM inode) ELSE coalesce(s.s, 0) END AS have_space, " \
        "CASE u.kind WHEN 0 THEN (SELECT count(*) FROM inode) ELSE coalesce(s.n, 0) END AS have_inodes " \
        "FROM usage u LEFT JOIN (SELECT uid, count(*) AS n, sum(space) AS s FROM inode GROUP BY uid) s ON u.kind = 1 AND s.uid = u.id WHERE u.kind < 2) q " \
        "WHERE space <> have_space OR inodes <> have_inodes", NULL) \
    S(FSCK_USAGE_NONE, "SELECT i.uid, count(*), sum(i.space) FROM inode i LEFT JOIN usage u ON u.kind = 1 AND u.id = i.uid WHERE u.id IS NULL GROUP BY i.uid", NULL) \
    S(FSCK_QUOTA, "SELECT u.id, u.space, u.inodes, u.parent, coalesce(s.n, 0), coalesce(s.s, 0) FROM usage u LEFT JOIN (SELECT quota, count(*) AS n, sum(space) AS s FROM inode " \
        "GROUP BY quota) s ON s.quota = u.id WHERE u.kind = 2", NULL) \
    S(FSCK_QUOTA_LOST, "SELECT ino, quota FROM inode WHERE quota > 0 AND quota NOT IN (SELECT id FROM usage WHERE kind = 2)", NULL) \
    S(FSCK_FIX_USAGE, "UPDATE usage SET space = ?3, inodes = ?4 WHERE kind = ?1 AND id = ?2", NULL) \
    S(FSCK_FIX_QUOTA, "UPDATE inode SET quota = 0 WHERE ino = ?1", NULL) \
    S(FSCK_LINK_NONE, "SELECT ino FROM inode WHERE (mode & 61440) = 40960 AND ino NOT IN (SELECT ino FROM link)", NULL) \
    S(FSCK_LINK_LOST, "SELECT ino FROM link WHERE ino NOT IN (SELECT ino FROM inode)", NULL) \
    S(FSCK_XATTR_LOST, "SELECT DISTINCT ino FROM xattr WHERE ino NOT IN (SELECT ino FROM inode)", NULL) \
    S(FSCK_LOOP, "WITH RECURSIVE t(ino) AS (SELECT i.ino FROM inode i WHERE i.ino = 1 OR i.ino NOT IN (SELECT ino FROM name) UNION SELECT n.ino FROM t JOIN name n ON n.parent = t.ino) " \
        "SELECT n.parent, n.hash, n.ino FROM name n WHERE n.ino NOT IN (SELECT ino FROM t) AND n.type = 4", NULL)
// clang-format on

#define META_SQL_ENUM(name, sqlite, pg) SQL_##name,
enum meta_sql { META_SQL(META_SQL_ENUM) SQL_COUNT };

#endif
