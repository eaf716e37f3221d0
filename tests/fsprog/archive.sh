#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tar, cp -a and rsync round trips of a tree with links, holes, modes and times in a volume; du and chmod -R.
# deadline: 300

# tree DIR: what archives find hard.
tree() {
    mkdir -p "$1/deep/er/est" "$1/many" "$1/empty"
    cd "$1"
    local i
    for i in $(seq 1 150); do seq "$i" "$((i * 9))" >"many/file $i"; done
    seq 1 200000 >large
    truncate -s 9M sparse
    printf middle | dd of=sparse bs=1 seek=4194304 conv=notrunc status=none
    truncate -s 1M hole
    : >empty/file
    ln large deep/hard
    ln large deep/er/hard
    ln -s ../large deep/soft
    ln -s /nonexistent/target dangling
    ln -s "$(printf '%0200d' 0)" long
    mkdir "$(printf '%0100d' 1)"
    echo name >"$(printf '%0100d' 1)/$(printf '%0200d' 2)"
    printf x >$'new\nline'
    printf x >'Grüße'
    echo secret >private
    chmod 0600 private
    chmod 04755 many/'file 1'
    chmod 02770 deep/er
    chmod 01777 empty
    chmod 0 many/'file 2'
    chown 12:34 many/'file 3' deep/er/est
    chown -h 12:34 dangling
    setfattr -n user.note -v "a note" private
    setfacl -m u:12:rw private
    find . -exec touch -h -d '2011-12-13 14:15:16.123456789 UTC' {} +
    touch -h -d '1969-07-20 20:17:40 UTC' long
    touch -d '2099-01-01 00:00:00.5 UTC' hole
    cd - >/dev/null
}

# list DIR: all that an archive is to keep.
list() {
    (
        cd "$1"
        find . -printf '%P %y %m %U %G %n %T@ %l' \( -type d -printf ' -\n' -o -printf ' %s\n' \) | sort
        find . -type f -print0 | sort -z | xargs -0 sha256sum
        getfattr -R -d . 2>/dev/null | sort
        getfacl -R -p . 2>/dev/null | sort
    )
}

# holes FILE: whether fewer blocks are allocated than the size needs.
holes() {
    local size blocks
    read -r size blocks < <(stat -c '%s %b' "$1")
    if [ $((blocks * 512)) -lt $((size / 2)) ]; then echo "$1 has holes"; else echo "$1 has none"; fi
}

# like DIR: is it listed as the tree is?
like() {
    list "$1" >list.now
    cmp list.tree list.now && echo "$1 is alike"
    holes "$1/sparse"
    holes "$1/hole"
}

work() {
    set -e
    tree tree
    list tree >list.tree
    cat list.tree
    find tree -not -type d -print0 | du --files0-from=- -l --apparent-size --block-size=1 | sort -k 2
    find tree -type f -print0 | du --files0-from=- -c --apparent-size --block-size=1 | tail -n 1
    tar --acls --xattrs -Scf a.tar tree
    mkdir to.tar && tar --warning=no-timestamp --acls --xattrs -xpf a.tar -C to.tar
    like to.tar/tree
    tar --acls --xattrs -df a.tar && echo tar finds no difference
    tar --sort=name -cf - tree | sha256sum
    tar --sort=name -czf a.tar.gz --exclude=large tree && tar -tzvf a.tar.gz | sort
    touch -d '2030-01-01' stamp
    tar -c --newer-mtime=./stamp -f new.tar tree 2>/dev/null && tar -tf new.tar | sort
    cp -a --sparse=always tree to.cp
    like to.cp
    cp -al tree to.links && stat -c %h to.links/private && rm -r to.links
    cp -a --reflink=auto tree to.clone
    like to.clone
    rsync -aHAXS tree/ to.rsync/
    like to.rsync
    rsync -aHAXi --delete --dry-run tree/ to.rsync/
    echo more >>tree/'many/file 7'
    rm tree/'many/file 8'
    echo moved >tree/added
    rsync -aHAXi --delete tree/ to.rsync/ | sort
    rsync -aHAXic --delete tree/ to.rsync/
    seq 1 200001 >tree/large
    rsync -aHAX --no-whole-file --inplace --stats tree/ to.rsync/ | grep -E 'files transferred|Literal|Matched'
    cmp tree/large to.rsync/deep/hard && echo inplace keeps links
    diff -r --no-dereference tree to.rsync
    (cd tree && find . -depth -print0 | cpio -0o --quiet -H newc) | (mkdir to.cpio && cd to.cpio && cpio -idm --quiet)
    diff -r --no-dereference tree to.cpio && echo cpio
    chmod -R u=rwX,g=rX,o= to.rsync
    chmod -Rc g-r to.rsync | grep -v -e hard -e large | sort # of linked names the first
    chown -Rh 5:6 to.rsync
    chgrp -R 7 to.rsync/many
    find to.rsync -printf '%P %m %U %G\n' | sort
    mv to.rsync to.moved && rm -r to.moved/deep && find to.moved | wc -l
    rm -rf to.moved to.tar to.cp
    ls
}

if [ "${1:-}" = work ]; then work; exit; fi
. "$(dirname "$0")/lib.sh"
need tar rsync cpio setfattr setfacl
[ "$(id -u)" = 0 ] || skip_all "only root can give files away and read them back"
three_ways 60
finish
