#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Strangers that load a file system on purpose: fio, which verifies what it wrote (through read and write, vectors, mappings, asynchronous
# I/O, and io_uring, with threads and processes), and stress-ng's stressors of files, two processes each.
# deadline: 300

# stressor NAME [OPTION...]: exit code 3 and 4 are stress-ng's words for what is not to be had here.
stressor() {
    local name=$1 status=0
    shift
    mkdir "$PWD/s"
    timeout --kill-after=5 60 stress-ng --temp-path "$PWD/s" --verify --oomable --timeout "$seconds" "--$name" 2 "$@" >one.out 2>&1 || status=$?
    case $status in
    0) echo "ok stress-ng/$name" >>"$RESULTS" ;;
    3 | 4) echo "skipped stress-ng/$name" >>"$RESULTS" ;;
    *)
        echo "bad stress-ng/$name" >>"$RESULTS"
        echo "== stress-ng $name: exit code $status"
        grep -aE 'fail|error|unexpected|Killed|signal' one.out | head -n 20 ;;
    esac
    [ -z "$(ls -A s)" ] || ls -lR s | head -n 20
    rm -rf s
}

# job NAME OPTION...
job() {
    local name=$1 status=0
    shift
    mkdir f
    timeout --kill-after=5 120 fio --name="$name" --directory="$PWD/f" --size="$size" --verify=crc32c --verify_fatal=1 --verify_state_save=0 \
        --randseed=7 --fallocate=none --output=one.out "$@" >one.err 2>&1 || status=$?
    if [ $status = 0 ]; then
        echo "ok fio/$name" >>"$RESULTS"
    else
        echo "bad fio/$name" >>"$RESULTS"
        echo "== fio $name: exit code $status"
        head -n 20 one.err one.out
    fi
    rm -rf f
}

work() {
    local s
    seconds=1 size=4m
    stressors=(dentry dir fallocate fcntl fpunch hdd iomix lockf lockofd mmap rename sync-file xattr)
    [ "$WHOLE" != yes ] || {
        seconds=5 size=128m
        stressors=(access chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dup fallocate fcntl fiemap file-ioctl filename flock fpunch
            fsize fstat getdent handle hdd inode-flags inotify io iomix lease link locka lockf lockofd mknod open rename symlink sync-file touch
            utime xattr aio aiol io-uring mmap msync readahead revio seek sendfile splice tee mmapfork mmapfixed mremap dnotify fanotify
            vm-splice zerocopy fault madvise mincore mlock pageswap procfs)
    }
    job write-read --rw=randwrite --bs=4k --ioengine=psync
    job mixed --rw=randrw --bsrange=512-64k --bs_unaligned=1 --ioengine=psync
    job vectors --rw=randwrite --bs=16k --ioengine=pvsync2 --fsync=64
    job mapped --rw=randrw --bs=4k --ioengine=mmap
    job direct --rw=randrw --bs=4k --ioengine=psync --direct=1
    job threads --rw=randrw --bs=8k --ioengine=psync --numjobs=4 --thread
    job processes --rw=randwrite --bs=8k --ioengine=sync --numjobs=4
    job libaio --rw=randrw --bs=4k --ioengine=libaio --iodepth=16
    job posixaio --rw=randrw --bs=4k --ioengine=posixaio --iodepth=8
    job many --rw=randrw --bs=4k --ioengine=psync --nrfiles=64 --openfiles=8
    job append --rw=write --bs=7k --ioengine=psync --file_append=1 --verify=0
    [ "$WHOLE" != yes ] || job uring --rw=randrw --bs=4k --ioengine=io_uring --iodepth=16
    for s in "${stressors[@]}"; do
        case $s in
        mmap | fault) stressor $s --mmap-file --mmap-bytes 8m ;;
        hdd) stressor $s --hdd-bytes 8m ;;
        iomix) stressor $s --iomix-bytes 8m ;;
        fallocate) stressor $s --fallocate-bytes 8m ;;
        copy-file) stressor $s --copy-file-bytes 128m ;;
        *) stressor $s ;;
        esac
    done
}

if [ "${1:-}" = work ]; then work; exit; fi
. "$(dirname "$0")/lib.sh"
need fio stress-ng
roads 90 1500
finish
