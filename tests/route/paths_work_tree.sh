# SPDX-License-Identifier: Apache-2.0
# A tree of real files through tar, cp -a, diff -r, find, chmod -R, du, rm -r. Run in an empty directory, which is the
# argument; what it prints must be the same on a disk and on a routed volume.
set -u
cd "$1" || exit 1
export LC_ALL=C.UTF-8
mkdir src
for name in netfilter usb tc_act sched raid; do
    [ ! -d /usr/include/linux/$name ] || cp -r /usr/include/linux/$name src/
done
ln -s ../src/usb src/link
mkdir -p src/empty/deep
find src | sort
find src -type f -print0 | sort -z | xargs -0 cat | sha256sum
tar cf - src | (mkdir un && cd un && tar xf -)
diff -r src un/src && echo "tar same"
cp -a src cp
diff -r src cp && echo "cp same"
find cp -ls | awk '{ print $3, $4, $5, $6, ($3 ~ /^d/ ? "" : $7), $11 }' | sort
chmod -R a-w,u+w src
find src ! -perm -u+w | wc -l
find src -name '*.h' -newer cp | wc -l
ls -R src | sha256sum
ls -1U src | wc -l
du -a --apparent-size src/usb | sort | head -n 5
grep -rl struct src | sort | head -n 5
find src -name 'i*' -delete
find src -name 'i*' | wc -l
find src -depth -name 'c*' -type f -execdir sh -c 'echo "$1 $(head -c 3 "$1")"' sh {} \; | sort
mv src moved
find moved -type d -empty
rm -rf un cp
ls
tar --sort=name -czf t.tgz moved
tar tzf t.tgz | sha256sum
rm -r moved
tar xzf t.tgz
find moved -type f | sort | xargs sha256sum | sha256sum
