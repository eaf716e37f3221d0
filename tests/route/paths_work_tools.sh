# SPDX-License-Identifier: Apache-2.0
# git, gcc, make, vim, awk and scripts in a directory, which is the argument and empty; what is printed must be the same on
# a disk and on a routed volume. What is not installed says so in both.
cd "$1" || exit 1
export LC_ALL=C.UTF-8 HOME=$1 GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE=2020-01-01T00:00:00Z GIT_COMMITTER_DATE=2020-01-01T00:00:00Z
git config --global user.email a@b
git config --global user.name n
git config --global init.defaultBranch main
git config --global gc.auto 0
git init -q r
cd r || exit 1
for i in $(seq 20); do
    mkdir -p d$((i % 5))
    seq "$i" 200 >"d$((i % 5))/f$i"
done
git add .
git commit -qm one
for i in 1 2 3; do
    echo "$i" >>d1/f1
    git commit -qam "c$i"
done
git log --oneline | cat
git checkout -qb br HEAD~2
echo br >new
git add new
git commit -qm br
git checkout -q main
git merge -q -m m br
git rev-parse HEAD
git gc -q
git fsck
git status --short
cd ..
git clone -q r r2
(cd r2 && git mv d1 dd && git commit -qm mv && git diff HEAD~1 --stat | tail -n 1 && git archive HEAD | tar t | wc -l)
vim -es -N -u NONE -c 'e vimf' -c 'norm ihello' -c 'w' -c 'saveas other' -c '%s/hello/bar/' -c 'wq'
cat vimf other
cat >h.c <<'END'
#include <stdio.h>
#include "h.h"
int main(void) { FILE *f = fopen("made", "w"); fprintf(f, "%d\n", N); fclose(f); puts("ran"); return 3; }
END
echo '#define N 7' >h.h
gcc -O1 -o h h.c
./h
echo "exit $?"
cat made
printf 'all: a.o b.o\n\tar rc lib.a a.o b.o\n\tnm lib.a | grep -c T\n%%.o: %%.c\n\tgcc -c -o $@ $<\n' >Makefile
echo 'int a; int fa(void) { return 1; }' >a.c
echo 'int fb(void) { return 2; }' >b.c
make -s
make -s
touch a.c
make
awk 'BEGIN { while ((getline l < "h.c") > 0) n++; print n; print "x" > "awkout"; close("awkout"); getline l < "awkout"; print l;
    "ls | wc -l" | getline k; print k }'
printf '#!/bin/sh\necho "$0" "$@"\npwd\n' >s.sh
chmod +x s.sh
./s.sh 1 2
find . -maxdepth 1 -name '*.sh' -exec {} \;
xargs -a h.h echo
diff <(sort h.c) <(sort -r h.c | sort) && echo "diff same"
rev h.h
column -t h.h
csplit -s h.c 2
ls xx*
od -c h.h | head -n 1
shuf -i 1-3 -o sh
wc -l sh
uniq h.c u
cmp u h.c
sort -o h.s h.c
stat -f -c %l .
mkfifo ff
test -p ff && echo fifo
timeout 5 tee tt <h.h
shred -n1 h.h
truncate -s 5 h.h
wc -c h.h
mkdir lib
cp /bin/true lib/prog
lib/prog && echo "ran a program"
