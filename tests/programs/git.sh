#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# git: a repository with large and small files is made, cloned, packed, checked and compared.
# deadline: 600

work() {
    set -e
    export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
    git config --global user.name tester
    git config --global user.email tester@example.org
    git config --global init.defaultBranch main
    git config --global gc.auto 0
    git config --global pack.threads 2
    git init -q repo
    cd repo
    mkdir -p a/b
    cp "$DATA"/noise.* .
    seq 1 300000 >a/numbers
    for i in $(seq 1 60); do seq "$i" "$((i * 300))" >"a/b/$i"; done
    git add .
    git commit -q -m first
    for i in 1 2 3; do
        seq "$i" 7 300000 >>a/numbers
        { cat noise.1; echo "change $i"; } >noise.tmp
        mv noise.tmp noise.1
        git commit -q -a -m "change $i"
    done
    git rev-parse HEAD
    git fsck --full --strict 2>&1 | grep -v '^notice' || :
    cd ..
    git clone -q --no-local repo clone 2>&1
    git -C clone fsck --full 2>&1
    git -C clone rev-parse HEAD
    git -C repo gc -q --prune=now
    git -C repo repack -q -a -d -f
    git -C repo fsck --full 2>&1
    git -C repo cat-file --batch-all-objects --batch-check | sort | sha256sum
    git -C clone cat-file --batch-all-objects --batch-check | sort | sha256sum
    diff -r --exclude=.git repo clone
    git -C clone checkout -q HEAD~2
    git -C clone log --format='%H %s' main
    git -C repo diff --stat HEAD~3 HEAD
    git -C repo archive HEAD | sha256sum
    git -C repo bundle create -q ../all.bundle main
    git clone -q all.bundle again
    diff -r --exclude=.git repo again
    git -C repo show HEAD:noise.2 | cmp - "$DATA/noise.2"
}

if [ "${1:-}" = work ]; then work; exit; fi
. "$(dirname "$0")/../lib.sh"
need git openssl
mkdir -p "$TMP/data"
noise 1 $((3 << 20)) >"$TMP/data/noise.1"
noise 2 $((9 << 20)) >"$TMP/data/noise.2"
noise 3 65537 >"$TMP/data/noise.3"
PROVE=1
each_cell 60
finish
