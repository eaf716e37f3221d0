# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For the tests of sockmap: source it first. They run in a mount and a network namespace of their own, with a BPF file
# system of their own and a control group of their own below the caller's; all are gone with them.
if [ -z "${ZIO_SOCKMAP_NS:-}" ]; then
    [ "$(id -u)" = 0 ] || { echo "sockmap needs root"; exit 77; }
    unshare -m -n true 2>/dev/null || { echo "no namespaces can be made here"; exit 77; }
    ZIO_SOCKMAP_NS=1 exec unshare -m -n bash "$0" "$@"
fi
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh" >/dev/null

zio=$top_builddir/zio
soak=$top_builddir/tests/sockmap/soak
python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null) || python=
[ -x "$top_builddir/cli/zio-sockmap" ] || skip_all "zio was built without sockmap (clang, bpftool, libbpf-dev)"
[ -n "$python" ] || skip_all "python3 is missing"
mount -t bpf bpf /sys/fs/bpf 2>/dev/null || skip_all "a BPF file system cannot be mounted"
ip link set lo up 2>/dev/null ||
    "$python" -c 'import fcntl, socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 1))' || skip_all "the loopback device cannot be set up"
cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
[ -n "$cgroups" ] || skip_all "no cgroup2 file system is mounted"
here_group=$(sed -n 's/^0:://p' /proc/self/cgroup)
group=${cgroups}${here_group%/}/zio-test-$$
mkdir "$group" 2>/dev/null || skip_all "no control group can be made below $cgroups"

# A prefix: the command behind it runs in the test's own control group.
# shellcheck disable=SC2016 # for the inner shell
in_group=(sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group")

# counter NAME: of `zio sockmap status`; 0 when it is off.
counter() {
    "$zio" sockmap status --json | "$python" -c 'import json, sys
print(json.load(sys.stdin)["counters"].get(sys.argv[1], 0))' "$1"
}

group_gone() {
    ! ls -d "${cgroups}${here_group%/}"/zio-run-"$1" >/dev/null 2>&1
}

clean_sockmap() {
    "$zio" sockmap down >/dev/null 2>&1
    wait_until 5 rmdir "$group"
    clean_up
}
trap clean_sockmap EXIT
