#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# git in a volume: commits, branches, merges, a conflict, a clone by bytes and one by links, packing, checks; work trees.
# deadline: 300

work() {
    set -e
    local i
    export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
    git config --global user.name tester
    git config --global user.email tester@example.org
    git config --global init.defaultBranch main
    git config --global gc.auto 0
    git init -q repo
    cd repo
    mkdir -p a/b
    for i in $(seq 1 40); do seq "$i" "$((i * 200))" >"a/b/$i"; done
    ln -s a/b/7 link
    printf '#!/bin/sh\necho run\n' >run
    chmod +x run
    git add .
    git commit -q -m first
    git checkout -q -b side
    for i in 1 2 3; do
        echo "side $i" >>a/b/1
        git mv "a/b/2$i" "a/moved$i"
        git commit -q -a -m "side $i"
    done
    git checkout -q main
    sed -i 's/^5$/five/' a/b/1 a/b/9
    git commit -q -a -m five
    git merge -q --no-edit side
    git ls-files -s | sha256sum
    git checkout -q -b conflict HEAD~1
    echo other >>a/b/1
    git commit -q -a -m other
    git merge -q side || echo "merge gave $?"
    git status --short
    git checkout -q --ours a/b/1
    git add a/b/1
    git commit -q -m resolved
    git rebase -q main 2>&1 || git rebase --abort
    git stash list
    git status --porcelain
    git log --all --graph --format='%H %an %s'
    cd ..
    git clone -q --no-local repo clone 2>&1
    git clone -q repo linked
    git -C linked worktree add -q ../tree side 2>&1 || git -C linked worktree add -q ../tree origin/side
    git -C tree log --oneline | wc -l
    ./clone/run
    readlink clone/link
    git -C repo checkout -q main
    git -C clone checkout -q main
    diff -r --exclude=.git repo clone
    for i in repo clone linked; do
        git -C $i gc -q --prune=now
        git -C $i fsck --full --strict 2>&1
        git -C $i count-objects -v | grep -E 'count|packs|garbage'
        git -C $i log --all --format='%H %s'
    done
    git -C clone push -q origin HEAD:pushed
    git -C repo cat-file --batch-all-objects --batch-check | sort | sha256sum
    git -C repo tag -a -m tagged v1 pushed
    git -C clone fetch -q --tags
    git -C clone describe --always pushed 2>/dev/null || git -C clone describe --tags v1
    git -C repo archive HEAD | sha256sum
    git -C repo grep -c five
    git -C clone clean -qfdx
    rm -rf clone
    ls
}

if [ "${1:-}" = work ]; then work; exit; fi
. "$(dirname "$0")/lib.sh"
need git
three_ways 60
finish
