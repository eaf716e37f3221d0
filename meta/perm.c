// SPDX-License-Identifier: Apache-2.0
// Who may: permission bits and POSIX ACLs (acl(5); the algorithm is that of POSIX.1e draft 17, 23.1.5). An
// ACL is kept as the blob of its extended attribute: a version, then entries of tag, permissions and id,
// little-endian.
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "meta/internal.h"

#define ACL_VERSION 2
enum { TAG_USER_OBJ = 1, TAG_USER = 2, TAG_GROUP_OBJ = 4, TAG_GROUP = 8, TAG_MASK = 16, TAG_OTHER = 32 };

struct entry {
    uint16_t tag, perm;
    uint32_t id;
};

// Entry i of a blob; false: behind its end.
static bool
entry_at(const void *blob, size_t len, size_t i, struct entry *e)
{
    const uint8_t *p = (const uint8_t *)blob + 4 + 8 * i;
    uint16_t h;
    uint32_t w;

    if (len < 4 || 8 * i + 8 > len - 4)
        return false;
    memcpy(&h, p, 2);
    e->tag = le16toh(h);
    memcpy(&h, p + 2, 2);
    e->perm = le16toh(h);
    memcpy(&w, p + 4, 4);
    e->id = le32toh(w);
    return true;
}

static void
set_perm(uint8_t *blob, size_t i, uint16_t perm)
{
    uint16_t h = htole16(perm);

    memcpy(blob + 4 + 8 * i + 2, &h, 2);
}

// Is it a valid ACL: each of user, group, other once, a mask where there are named entries, in order, no
// entry twice.
int
acl_check(const void *blob, size_t len, bool is_dir)
{
    struct entry e, last = {0};
    uint32_t seen = 0, version;
    size_t i;

    (void)is_dir;
    if (len < 4 || (len - 4) % 8 || len > ACL_MAX)
        return -EINVAL;
    memcpy(&version, blob, 4);
    if (le32toh(version) != ACL_VERSION)
        return -EOPNOTSUPP;
    for (i = 0; entry_at(blob, len, i, &e); i++) {
        bool named = e.tag == TAG_USER || e.tag == TAG_GROUP;

        if (e.perm > 7 || e.tag < last.tag || (!named && seen & e.tag) || !e.tag || e.tag > TAG_OTHER ||
            e.tag & (e.tag - 1u))
            return -EINVAL;
        if (named && e.tag == last.tag && e.id <= last.id)
            return -EINVAL;
        seen |= e.tag;
        last = e;
    }
    if (i == 0)
        return 0;
    if ((seen & (TAG_USER_OBJ | TAG_GROUP_OBJ | TAG_OTHER)) != (TAG_USER_OBJ | TAG_GROUP_OBJ | TAG_OTHER))
        return -EINVAL;
    return seen & (TAG_USER | TAG_GROUP) && !(seen & TAG_MASK) ? -EINVAL : 0;
}

// The permission bits that go with an ACL. `minimal`: they say all of it.
int
acl_to_mode(const void *blob, size_t len, uint32_t *mode, bool *minimal)
{
    struct entry e;
    uint32_t bits = 0;
    bool mask = false;

    *minimal = true;
    for (size_t i = 0; entry_at(blob, len, i, &e); i++) {
        switch (e.tag) {
        case TAG_USER_OBJ:
            bits |= (uint32_t)e.perm << 6;
            break;
        case TAG_GROUP_OBJ:
            if (!mask)
                bits = (bits & ~070u) | (uint32_t)e.perm << 3;
            break;
        case TAG_MASK:
            bits = (bits & ~070u) | (uint32_t)e.perm << 3;
            mask = true;
            *minimal = false;
            break;
        case TAG_OTHER:
            bits |= e.perm;
            break;
        default:
            *minimal = false;
        }
    }
    *mode = (*mode & ~0777u) | bits;
    return 0;
}

static bool
has_mask(const uint8_t *blob, size_t len)
{
    struct entry e;

    for (size_t i = 0; entry_at(blob, len, i, &e); i++)
        if (e.tag == TAG_MASK)
            return true;
    return false;
}

int
acl_from_mode(uint8_t *blob, size_t len, uint32_t mode)
{
    bool mask = has_mask(blob, len);
    struct entry e;

    for (size_t i = 0; entry_at(blob, len, i, &e); i++) {
        if (e.tag == TAG_USER_OBJ)
            set_perm(blob, i, mode >> 6 & 7);
        else if (e.tag == TAG_MASK || (e.tag == TAG_GROUP_OBJ && !mask))
            set_perm(blob, i, mode >> 3 & 7);
        else if (e.tag == TAG_OTHER)
            set_perm(blob, i, mode & 7);
    }
    return 0;
}

// The default ACL becomes the access ACL, cut down by the mode that was asked for; the mode follows (acl(5)).
int
acl_inherit(uint8_t *blob, size_t len, uint32_t *mode)
{
    bool mask = has_mask(blob, len), minimal;
    struct entry e;

    for (size_t i = 0; entry_at(blob, len, i, &e); i++) {
        if (e.tag == TAG_USER_OBJ)
            set_perm(blob, i, e.perm & (*mode >> 6 & 7));
        else if (e.tag == TAG_MASK || (e.tag == TAG_GROUP_OBJ && !mask))
            set_perm(blob, i, e.perm & (*mode >> 3 & 7));
        else if (e.tag == TAG_OTHER)
            set_perm(blob, i, e.perm & (*mode & 7));
    }
    acl_to_mode(blob, len, mode, &minimal);
    return minimal ? 0 : 1;
}

bool
cred_root(const struct meta_cred *c)
{
    return !c || c->uid == 0 || c->checked;
}

// What a change by `c` takes away: the right to run as the owner, and as the group. Without group execute
// S_ISGID is no such right, and stays where `c` is in the group (setattr_should_drop_sgid() of Linux).
void
perm_drop_suid(const struct meta_cred *c, struct node *n)
{
    n->a.mode &= ~(uint32_t)S_ISUID;
    if (n->a.mode & S_IXGRP || (c && c->uid != 0 && !cred_in_group(c, n->a.gid)))
        n->a.mode &= ~(uint32_t)S_ISGID;
}

bool
cred_in_group(const struct meta_cred *c, gid_t gid)
{
    if (!c || c->gid == gid)
        return true;
    for (uint32_t i = 0; i < c->ngroups; i++)
        if (c->groups[i] == gid)
            return true;
    return false;
}

static int
acl_allows(const struct meta_cred *c, const struct node *n, const uint8_t *blob, size_t len, int want)
{
    int mask = 7, group = -1, other = 0, user = -1;
    bool in_group = false;
    struct entry e;

    for (size_t i = 0; entry_at(blob, len, i, &e); i++) {
        switch (e.tag) {
        case TAG_USER_OBJ:
            if (c->uid == n->a.uid)
                return (e.perm & want) == want ? 0 : -EACCES;
            break;
        case TAG_USER:
            if (c->uid == e.id)
                user = e.perm;
            break;
        case TAG_GROUP_OBJ:
        case TAG_GROUP:
            if (cred_in_group(c, e.tag == TAG_GROUP ? e.id : n->a.gid)) {
                in_group = true;
                if ((e.perm & want) == want)
                    group = e.perm;
            }
            break;
        case TAG_MASK:
            mask = e.perm;
            break;
        case TAG_OTHER:
            other = e.perm;
            break;
        default:
            break;
        }
    }
    if (user >= 0)
        return (user & mask & want) == want ? 0 : -EACCES;
    if (in_group)
        return group >= 0 && (group & mask & want) == want ? 0 : -EACCES;
    return (other & want) == want ? 0 : -EACCES;
}

int
perm_check(struct op *op, const struct meta_cred *c, const struct node *n, int mask)
{
    uint32_t mode = n->a.mode, bits;

    if (mask & W_OK && n->a.flags & META_F_SNAPSHOT)
        return -EROFS;
    if (c && c->checked)
        return 0;
    if (cred_root(c))
        return mask & X_OK && !node_is(n, S_IFDIR) && !(mode & 0111) ? -EACCES : 0;
    if (c->uid == n->a.uid) {
        bits = mode >> 6;
    } else if (n->a.flags & META_F_ACL &&
               mode & 070) { // an empty mask leaves the owner and others only, as without ACL
        uint8_t blob[ACL_MAX];
        int r;

        if (!op)
            return -EAGAIN;
        r = xattr_get(op, n->a.ino, ACL_ACCESS, blob, sizeof(blob));
        if (r >= 0)
            return acl_allows(c, n, blob, (size_t)r, mask);
        if (r != -ENODATA)
            return r;
        bits = cred_in_group(c, n->a.gid) ? mode >> 3 : mode;
    } else {
        bits = cred_in_group(c, n->a.gid) ? mode >> 3 : mode;
    }
    return ((uint32_t)mask & ~bits & 7) ? -EACCES : 0;
}

int
perm_dir_write(struct op *op, const struct meta_cred *c, const struct node *dir)
{
    return perm_check(op, c, dir, W_OK | X_OK);
}

int
perm_sticky(const struct meta_cred *c, const struct node *dir, const struct node *victim)
{
    if (!(dir->a.mode & S_ISVTX) || cred_root(c) || c->uid == dir->a.uid || c->uid == victim->a.uid)
        return 0;
    return -EPERM;
}
