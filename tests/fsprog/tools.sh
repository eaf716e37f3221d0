#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Editors, a compiler and the shell's daily tools with their files in a volume.
# deadline: 300

editors() {
    # shellcheck disable=SC2016
    seq 1 20000 >text
    "$VIM" -u NONE -es -c '%s/9$/nine/' -c 'g/^1000/d' -c 'wq' text || echo "vim gave $?"
    sha256sum text
    "$VIM" -u NONE -es -c 'set backup backupskip= backupcopy=no' -c '$put =\"end\"' -c 'w' -c 'w! other' -c 'q' text || echo "vim gave $?"
    "$VIM" -u NONE -es -c 'set backup backupskip= backupcopy=yes' -c '1,5d' -c 'wq' other || echo "vim gave $?"
    tail -n 1 text
    sha256sum text text~ other other~
    "$VIM" -u NONE -es -c '1d' -c 'preserve' -c 'cq!' text || echo "vim gave $?"
    ls -A
    ed -s text <<'END' 2>&1 || :
1,10d
$a
by ed
.
w
q
END
    sed -i.bak -e '2d' -e 's/nine/9/' text
    sha256sum text text.bak
}

compiler() {
    mkdir lib
    printf '#pragma once\nint twice(int);\n' >lib/twice.h
    printf '#include "twice.h"\nint twice(int n) { return 2 * n; }\n' >lib/twice.c
    printf '#include <stdio.h>\n#include <unistd.h>\n#include "twice.h"\nint main(int c, char **v) { printf("%%d\\n", twice(c)); if (c > 3) return 0; execv(v[0], (char *[]){v[0], "1", "2", "3", 0}); return 9; }\n' >main.c
    gcc -O2 -c -o twice.o lib/twice.c
    ar rcs libtwice.a twice.o
    gcc -pipe -O2 -Ilib main.c -L. -ltwice -o static
    ./static
    gcc -flto -O2 -Ilib main.c lib/twice.c -o lto && ./lto
    gcc -shared -fPIC -o libtwo.so lib/twice.c
    objdump -T libtwo.so | grep -c twice
    strip -o stripped static && ./stripped 1
    gcc -M -Ilib main.c | tr ' ' '\n' | grep -c h
    gcc main.c -o none 2>&1 | grep -c 'No such file'
    printf 'int main(void) { return 1 }\n' >bad.c
    gcc bad.c -o bad 2>&1 | head -n 3
    [ ! -e bad ] && echo no bad program
    cp static copy && ./copy 1 2 3 4
    # shellcheck disable=SC2016
    printf '#!/bin/sh\necho "$0 $1"\n' >script && chmod +x script && ./script a && find . -name script -exec {} found \;
    sha256sum twice.o static
}

finders() {
    mkdir -p f/a/b f/c
    touch f/a/1.txt f/a/b/2.txt 'f/c/3 .txt' f/c/.hidden
    find f -name '*.txt' -print0 | sort -z | xargs -0 -n 1 -P 2 cp -t f/c 2>&1 | sed "s/'f.*/.../"
    find f -newer main.c -type f | sort
    find f -empty -type d
    find f -depth -name '1*' -execdir mv {} moved \;
    find f -perm -u+w -links 1 -size -1k | sort
    find -L f -samefile f/a/moved
    find f -name '*.txt' -delete
    find f | sort
    perl -e 'use File::Find; find({ no_chdir => 1, wanted => sub { push @n, $_ } }, "f"); print join("\n", sort @n), "\n"'
    perl -pi.orig -e 's/1/one/g' text && wc -c text text.orig
    perl -e 'open my $f, "+>>", "log" or die; print $f "x\n" for 1 .. 3; seek $f, 0, 0; print <$f>; truncate $f, 2; print -s $f, "\n";
        use Fcntl ":flock"; flock $f, LOCK_EX | LOCK_NB or die; open my $g, "<", "log"; print flock($g, LOCK_SH | LOCK_NB) ? "shared\n" : "locked: $!\n"'
    awk '{ print > ("by" length($0)) } END { close("by1"); while ((getline l < "by1") > 0) n++; print n }' text.bak
    ls by*
    grep -rl twice . --include='*.c' | sort
    rm -r f by*
}

shells() {
    mktemp -p . file.XXXXXX | grep -c '^\./file\.......$'
    mktemp -d dir.XXXX | wc -c
    rm -r file.* dir.*
    TMPDIR=$PWD mktemp | grep -c "^$PWD/tmp\."
    rm tmp.*
    cat <<END
here $(cat <<<nested)
END
    exec 7>>log 8<>both
    { echo to seven >&7; echo to eight >&8; } 2>&1
    exec 7>&- 8>&-
    cat log both
    set -C
    (echo x >log) 2>&1 | sed 's/.*log/log/'
    echo x >|log
    set +C
    ls none 2>err >out || :
    wc -l out err | head -n 2
    : >tacked
    cat < <(tac log) > >(cat >tacked; echo "end" >>tacked)
    until grep -q end tacked; do :; done
    cat tacked
    (cd lib && pwd | sed 's|.*/||' && echo ../*.c && cd - >/dev/null)
    (umask 077 && : >mine && stat -c %a mine)
    : >grown
    for i in 1 2 3; do echo "$i"; done >>grown &
    timeout 20 tail -n +1 -f --pid=$! grown
    seq 1 120000 | sort -R --random-source=/usr/bin/env >shuffled
    sort -n -S 200K --parallel=2 -T . shuffled | sha256sum
    sort -n -o shuffled shuffled && head -n 2 shuffled
    split -b 100000 shuffled part. && cat part.* | cmp - shuffled && ls part.*
    split -n l/3 --filter='wc -l' shuffled
    csplit -s shuffled 1000 5000 && wc -l xx*
    dd if=shuffled of=dd bs=4096 skip=3 seek=5 count=7 conv=notrunc,fsync status=none && stat -c %s dd
    dd if=shuffled of=dd oflag=append conv=notrunc bs=1000 count=1 status=none && stat -c %s dd
    dd if=shuffled iflag=direct of=direct oflag=direct bs=65536 count=2 status=none && cmp -n 131072 shuffled direct && stat -c %s direct
    truncate -s -5 dd && stat -c %s dd && shred -u dd && ls dd 2>&1
    install -m 640 -D text in/stalled && stat -c '%a %s' in/stalled
    paste -d, part.aa part.ab 2>/dev/null | sha256sum
    gzip -k shuffled && xz -0k shuffled && zcat shuffled.gz | cmp - shuffled && xz -dc shuffled.xz | cmp - shuffled
    diff text text.bak >changes || patch -s text <changes && cmp text text.bak
    flock log -c 'flock -n log -c true || echo locked'
    realpath lib/../log | sed "s|^$PWD|.|"
    tee a b c <log >/dev/null && cat a b c
    ls -A | sort
}

work() {
    export HOME=$PWD
    mkdir edit && cd edit && editors
    compiler 2>&1
    finders
    shells
}

VIM=$(command -v vim || command -v vim.tiny)
if [ "${1:-}" = work ]; then work; exit; fi
. "$(dirname "$0")/lib.sh"
need gcc ar objdump perl gzip xz split patch ed
[ -n "$VIM" ] || skip_all "vim is missing (./quickstart --with-tests installs it)"
three_ways 60
finish
