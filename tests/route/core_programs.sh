#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Unmodified programs over a routed directory: the same output as over the same directory on a disk.
# deadline: 300
. "$(dirname "$0")/lib.sh"
need timeout sqlite3 python3

# The works are files, so that each can be run by more than one shell; $1 is the directory.
mkdir "$TMP/works"
export ELSE=$TMP/works

cat >"$TMP/works/shell" <<'WORK'
cd "$1" || exit 1
pwd | sed "s|$1|DIR|"
echo one >a
echo two >>a
cat a; cat <a
while read -r line; do echo "line $line"; done <a
exec 5<a
read -r x <&5; echo "x=$x"; cat <&5
exec 5<&-
exec 6>b
(echo in a subshell >&6; sh -c 'echo in a shell >&6'; /bin/echo by echo >&6)
echo after >&6
exec 6>&-
cat b
{ echo out; echo err >&2; } >c 2>&1
cat c
cat <<END >d
here $x
END
cat d
mkdir sub && cd sub && echo inside >e && cat ../sub/e ../a
cd .. || exit 1
for f in *; do echo "file $f"; done
[ -f a ] && [ ! -e none ] && [ -d sub ] && [ a -nt none ] && echo tests
cp a a2 && cmp a a2 && mv a2 a3 && ls
cat none; echo "status $?"
echo x >none/y; echo "status $?"
ln -s a link && cat link && readlink link
dd if=b of=dd bs=7 2>/dev/null && cmp b dd && dd if=dd bs=4 skip=2 count=3 2>/dev/null; echo
dd if=/dev/zero of=dd bs=1024 seek=10 count=2 conv=notrunc 2>/dev/null; wc -c <dd
head -c 5 a; tail -c 4 a; sort a; wc a; tee t <a; grep two a; sed -i s/two/2/ a; cat a
set -C; echo no >a; echo "status $?"
chmod 640 a && stat -c '%a %s %F' a sub
touch -d '2001-02-03 04:05:06' a && stat -c %Y a
rm a && ls | wc -l && rm -r sub && ls
x=$(cat b); echo "$x"
env -i /bin/cat b
( cat b; echo and ) | cat >piped; cat piped
sh -c 'cat b' <b >e2; cat e2
find . | sort
WORK

# The limit is for the files that the program writes; a small one must not be in the way of the volume's own.
cat >"$TMP/works/limit" <<'WORK'
cd "$1" || exit 1
for how in -S ''; do
    ( ulimit $how -f 8 && ulimit -f
    for i in 1 2 3 4 5 6 7 8 9 10; do echo $i >a$i && mv a$i b; done; cat b
    head -c 40000 /dev/zero >big; echo "status $?"; wc -c <big; rm big
    head -c 40000 /dev/zero >"$ELSE/big"; echo "status $?"; wc -c <"$ELSE/big"; rm "$ELSE/big"
    sh -c 'ulimit -f; for i in 1 2 3 4 5; do mkdir d$i && rmdir d$i && echo $i; done'; ulimit -f
    ) 2>/dev/null
done
ls
WORK

cat >"$TMP/works/flock" <<'WORK'
cd "$1" || exit 1
( flock 9 || exit 1; echo locked; flock -n 9 && echo again ) 9>file
( flock -s 9; flock -n "$1/file" echo not reached || echo busy ) 9>file
( flock 9; sh -c 'flock -n 9 && echo inherited' ) 9>file
flock file sh -c "flock -n file true || echo held by the parent"
( flock 9; exec sh -c 'flock -n file true || echo kept over exec' ) 9>file
flock -n file echo free
# The description is opened by one program, shared by the next.
sh -c 'exec 9>file; exec sh -c "( flock 9; flock -n 9 && echo shared ); flock -n file true || echo and kept"'
# Counting under a lock, four at a time.
echo 0 >count
one() { for i in 1 2 3 4 5; do ( flock 9; read -r n <count; echo $((n + 1)) >count ) 9>file; done; }
one & one & one & one &
wait
cat count
WORK

cat >"$TMP/works/python" <<'WORK'
exec python3 - "$1" <<'END'
import os, sys, subprocess, tempfile, shutil, threading, mmap, fcntl
top = sys.argv[1]
os.chdir(top)
print(os.getcwd() == top)
with open("a", "w") as f:
    f.write("hello\n" * 3)
print(open("a").read(), os.path.getsize("a"))
with open("a", "r+b") as f:
    f.seek(6); f.write(b"HELLO"); f.seek(0); print(f.readlines())
with open("a", "ab", buffering=0) as f:
    print(f.tell(), f.write(b"tail"), f.tell())
print(subprocess.run(["cat", "a"], capture_output=True).stdout)
print(subprocess.run("cat < a; pwd", shell=True, cwd=top, capture_output=True).stdout.replace(top.encode(), b"DIR"))
with open("out", "w") as f:
    subprocess.run(["sh", "-c", "echo to a file; echo err >&2"], stdout=f, stderr=subprocess.STDOUT)
    subprocess.run(["echo", "more"], stdout=f)
print(open("out").read())
print(subprocess.run(["cat"], stdin=open("a"), capture_output=True).stdout)
p = subprocess.Popen(["cat", "a"], stdout=subprocess.PIPE, env={}, close_fds=True)
print(p.communicate())
r, w = os.pipe()
fd = os.open("a", os.O_RDONLY)
p = subprocess.Popen(["sh", "-c", "cat <&%d" % fd], stdout=subprocess.PIPE, pass_fds=[fd])
print(p.communicate())
os.close(fd)
with tempfile.NamedTemporaryFile(dir=top) as t, tempfile.TemporaryFile(dir=top) as u:
    t.write(b"temporary"); t.flush(); u.write(b"no name"); u.seek(0)
    print(open(t.name, "rb").read(), u.read())
os.makedirs("x/y/z"); open("x/y/z/f", "w").write("deep")
shutil.copytree("x", "x2"); print(sorted(os.listdir(".")), [len(f) for _, _, f in os.walk("x2")])
shutil.rmtree("x"); print(os.path.exists("x"))
def work(n):
    for i in range(50):
        with open("t%d" % n, "w") as f: f.write(str(i))
        assert open("t%d" % n).read() == str(i)
ts = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[t.start() for t in ts]; [t.join() for t in ts]
print(sorted(f for f in os.listdir(".") if f[0] == "t"))
pid = os.fork()
if pid == 0:
    open("child", "w").write("from the child"); os._exit(0)
os.waitpid(pid, 0); print(open("child").read())
with open("lock", "w") as f:
    fcntl.flock(f, fcntl.LOCK_EX)
    with open("lock") as g:
        try: fcntl.flock(g, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as e: print(type(e))
try: open("none/x")
except OSError as e: print(e)
os.rename("a", "b"); os.link("b", "c"); print(os.stat("c").st_nlink)
os.truncate("b", 3); print(open("c", "rb").read())
print(sorted(e.name for e in os.scandir(".") if e.is_file()))
END
WORK

cat >"$TMP/works/sqlite" <<'WORK'
cd "$1" || exit 1
sqlite3 db 'create table t(a integer primary key, b text); insert into t(b) values ("x"), ("y");
            select * from t; pragma integrity_check;'
sqlite3 db 'begin; insert into t(b) values ("z"); rollback; select count(*) from t;'
sqlite3 db "pragma journal_mode=delete; insert into t(b) select b || 'more' from t; select count(*), sum(length(b)) from t; vacuum;"
one() { for i in 1 2 3 4 5 6 7 8; do sqlite3 -cmd '.timeout 20000' db "insert into t(b) values ('$1')" || echo failed; done; }
one p & one q &
wait
sqlite3 db 'select b, count(*) from t group by b; pragma integrity_check;'
python3 -c "
import sqlite3
c = sqlite3.connect('db')
c.execute('create table u(n)')
c.executemany('insert into u values (?)', ((i,) for i in range(1000)))
c.commit()
print(c.execute('select count(*), sum(n) from u').fetchone())
"
sqlite3 db 'select b from t order by b' | cksum
ls
WORK

# run WORK SHELL: over both, and compared.
run() {
    local work=$1 shell=$2
    fresh
    timeout 60 "$shell" "$TMP/works/$work" "$NATIVE" >"$TMP/native.out" 2>"$TMP/native.err" </dev/null
    echo "exit code $?" >>"$TMP/native.out"
    grep -qx 'exit code 0' "$TMP/native.out" || fail "$work/$shell/native" "the work fails: $(tail -n 3 "$TMP/native.err")"
    timeout 100 "${routed[@]}" "$shell" "$TMP/works/$work" "$ROUTED" >"$TMP/routed.out" 2>"$TMP/routed.err" </dev/null
    echo "exit code $?" >>"$TMP/routed.out"
    same "$work/$shell" "$TMP/native.out" "$TMP/routed.out"
    sed -i "s|$NATIVE|DIR|g" "$TMP/native.err"
    sed -i "s|$ROUTED|DIR|g" "$TMP/routed.err"
    same "$work/$shell/stderr" "$TMP/native.err" "$TMP/routed.err"
    check "$work/$shell/routed-only" [ ! -e "$ROUTED" ]
}

for shell in bash dash; do
    command -v $shell >/dev/null || { skip "shell/$shell" "$shell is missing"; continue; }
    run shell $shell
    run limit $shell
    run flock $shell
done
run python bash
run sqlite bash
check fsck "$ZIO_FS_TOOL" fsck "local:$VOLUME"
finish
