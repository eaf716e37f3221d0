# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Programs and scripts that lie in directory $1, run in every way that a shell has: done natively and in a volume, the
# output must be the same. $2: a directory that is native in both.
dir=$1 native=$2
cd "$dir" || exit 1

# A step: its name, its output with the directory's name made neutral, and its exit code.
step() {
    echo "$1:"
    shift
    "$@" 2>&1 | sed -e "s|$dir|DIR|g" -e "s|$native|NATIVE|g" -e 's/line [0-9]*: //'
    echo "  = ${PIPESTATUS[0]}"
}
# make NAME TEXT: an executable file.
make() {
    printf "$2" >"$1"
    chmod 755 "$1"
}

mkdir bin sub
cp /bin/echo /bin/cat /bin/true /bin/false bin
cp "$(readlink -f /bin/sh)" bin/sh
cp "$(command -v bash)" bin/bash
step copies ls bin
step program "$dir/bin/echo" one 'two three'
step relative bin/echo here
step exit-codes bin/false
step large "$dir/bin/bash" -c 'echo "$0 $# $1"' zero one
step input bin/cat <<<'through a pipe'
step argv0 bash -c "exec -a other bin/bash -c 'echo \$0'"
step comm bin/cat /proc/self/comm
step exe bin/bash -c 'readlink /proc/$$/exe'
step no-environment env -i bin/sh -c 'echo "${HOME:-none}"; pwd'
step no-environment-again env -i bin/sh -c "cat $dir/script; bin/echo done"

make script '#!/bin/sh\necho "script $0 $# $*"\n'
step script "$dir/script" a 'b c'
step script-relative ./script x
(cd sub && step script-above ../script y)
make inside "#!$dir/bin/sh -e\necho \"inside \$0 \$*\"\n"
step interpreter-inside "$dir/inside" 1 2
make nested "#!$dir/inside  some arg \necho never\n"
step script-of-script ./nested 3
make "$native/out" "#!$dir/bin/sh\necho \"out \$0 \$*\"\n"
step native-script "$native/out" 4
make 'spaces' '#!  \t/bin/echo\n'
step spaces ./spaces 5
make empty-line '#!\n'
step empty-line env ./empty-line
make missing '#!/no/such/program\n'
step missing-interpreter ./missing
make missing-inside "#!$dir/no/such\n"
step missing-interpreter-inside env ./missing-inside
make plain 'echo "plain $0 $*"\n'
step plain-by-the-shell ./plain 6
step plain-by-execvp env ./plain 7
make loop "#!$dir/loop\n"
step loop env ./loop
make crlf '#!/bin/sh\r\n'
step crlf env ./crlf
: >nothing
chmod 755 nothing
step nothing env ./nothing
printf '\177ELFbroken' >broken
chmod 755 broken
step broken env ./broken

chmod 644 script
step no-permission env ./script
chmod 755 script
chmod 000 bin/true
chmod 111 bin/true
step only-executable bin/true
step directory env ./sub
step no-such env ./no-such
step through-a-file env ./script/x

ln -s bin/echo link
step link ./link linked
ln -s "$dir/script" "$native/in"
step link-from-outside "$native/in" 8
ln -s /bin/echo out
step link-to-outside ./out 9
ln -s nowhere dangling
step dangling env ./dangling

PATH=$dir/bin:$dir:$PATH
step path script 10
step path-program bash -c 'command -v echo cat; exec echo found'
step path-env env script 11
PATH=sub:.:/bin:/usr/bin
step path-relative script 12
make sub/tool '#!/bin/sh\necho tool\n'
chmod 644 sub/tool
make tool '#!/bin/sh\necho other tool\n'
step path-skips tool
step xargs xargs "$dir/bin/echo" args: <<<'a b c'
step find find "$dir/sub" -name tool -exec "$dir/bin/echo" found {} ';'
step awk awk "BEGIN { system(\"$dir/script from awk\"); \"$dir/bin/echo piped\" | getline x; print x }"
step subshells sh -c "(bin/echo a; ./script b) | bin/cat; ./script c | (read l; echo got \$l)"
step background sh -c './script bg & wait'
