# SPDX-License-Identifier: Apache-2.0
# What a shell and the coreutils do with files: redirections of every kind, links, archives, sed, find. Run in an empty
# directory, which is the argument; what it prints must be the same on a disk and on a routed volume.
set -u
cd "$1" || exit 1
export LC_ALL=C.UTF-8
mkdir a a/b a/b/c; echo hello > a/f; echo "more text" >> a/f; cat a/f
cp a/f a/g; ln -s f a/l; ln a/f a/h; cat < a/l; printf '%s\n' one two three | sort -r > a/sorted; cat a/sorted
ls -la --time-style=+ a | grep -v ^total | sed 's/  */ /g' | cut -d' ' -f1,2,3,4,6-
stat -c '%A %h %u %g %s %F %N' a/f a/l a/sorted
find . | sort; find a -type f -size -10c -exec echo {} + ; find . -name f -print0 | xargs -0 wc -c
du -a --apparent-size a/sorted | cut -f2; touch -d '2020-01-02 03:04:05.678' a/f; stat -c %y a/f; touch a/new
chmod -R go-rwx a; stat -c %a a/b a/f; mv a/b a/d; mv a/f a/d/; ls a a/d
cp -a a copy; diff -r a copy && echo same; rm a/g; diff -r a copy; rm -r copy; ls
tar --sort=name -cf t.tar a && tar tvf t.tar | awk '{print $1,$3,$6}' | sort; mkdir x; tar xf t.tar -C x; diff -r a x/a && echo same2
head -c 100000 /dev/zero | tr '\0' 'z' > big; wc -c big; split -b 30000 big part.; cat part.* | cmp - big && echo cmp; dd if=big of=big2 bs=4k count=3 status=none; wc -c big2; tail -c 5 big; truncate -s 10 big; wc -c < big
ls nonexist; cat nonexist; rmdir a; mkdir a
cd a; pwd; /bin/pwd; cd d && ls ..; cd ../..; realpath a/l; readlink a/l; readlink -f a/d/../l
grep -r hello . | sort; sed -i 's/hello/bye/' a/d/f; cat a/d/f; install -m 640 a/d/f inst; stat -c %a inst
mktemp -p . tmp.XXXXXX | wc -c; rm tmp.*; test -f inst && echo yes; [ -d a ] && echo dir; test inst -nt a/d/f && echo newer
for i in *; do echo "$i"; done; echo a/*/; 
exec 3>fd3; echo to3 >&3; exec 3>&-; cat fd3; { echo o; echo e >&2; } > both 2>&1; cat both; read -r line < both; echo "$line"; while read -r x; do echo "[$x]"; done < a/sorted; echo here > here; cat <<EOF
heredoc
EOF
cat here; (cd a; echo sub > sub); cat a/sub
tee t1 t2 < here >/dev/null; cmp t1 t2; ln -sfn a link; ls link/; rm -rf a x link; ls
