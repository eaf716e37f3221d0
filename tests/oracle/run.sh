#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deadline: 2400
# The oracle: 10,000 random programs plain and under the library eliding whatever it can, then smaller numbers with the
# default policy, with each kernel feature taken away, and beside other allocators.
# From a build tree: tests/oracle/run.sh [--soak SECONDS]; ZIO_ORACLE_COUNT changes the number, ZIO_ORACLE_SEED the first seed.
build=${abs_top_builddir:-$(pwd)}
oracle=$build/tests/oracle/oracle
lib=${ZIO_TEST_PRELOAD:-$build/libzio/.libs/libzio.so}
count=${ZIO_ORACLE_COUNT:-10000}
seed=${ZIO_ORACLE_SEED:-1}
jobs=${ZIO_TEST_JOBS:-2}
failed=0

# run TITLE COUNT OPTIONS...
run() {
	title=$1 n=$2
	shift 2
	printf '%s: ' "$title"
	"$oracle" --seed "$seed" --count "$n" --jobs "$jobs" --preload "$lib" "$@" || failed=1
	seed=$((seed + n))
}

all="--env ZIO_POLICY=always --env ZIO_THRESHOLD=4096"

# Whether this machine lets the library elide at all; the adversarial canary tells.
if ! why=$("$build/tests/adversarial/adversarial" --all --preload "$lib" canary); then
	echo "$why"
	echo "skipped: no copy is elided on this machine, so that the oracle would prove nothing"
	exit 77
fi

# `./runtests --soak SECONDS` asks through the environment.
[ "${ZIO_SOAK:-0}" = 0 ] || set -- --soak "$ZIO_SOAK"
if [ "${1:-}" = --soak ]; then
	# shellcheck disable=SC2086
	exec "$oracle" --soak "${2:-3600}" --ops 120 --threads 3 --jobs "$jobs" --preload "$lib" $all --expect-elision
fi

# shellcheck disable=SC2086
{
	run "every copy elided" "$count" $all --expect-elision
	run "long programs" $((count / 100)) $all --ops 400 --threads 3
	run "default policy" $((count / 10)) --env ZIO_START_MS=0
	for feature in kernelfaults move wp events pagemapscan procmapquery populatewrite; do
		run "without $feature" $((count / 40)) $all --env "ZIO_FEATURES=-$feature"
	done
	run "elision off" $((count / 40)) --env ZIO_FEATURES=-uffd
	run "disabled" $((count / 40)) --env ZIO_DISABLE=1
}

for name in libjemalloc.so.2 libmimalloc.so.2 libtcmalloc_minimal.so.4; do
	path=
	for dir in /usr/lib/x86_64-linux-gnu /usr/lib64 /usr/local/lib /usr/lib; do
		[ -e "$dir/$name" ] && path=$dir/$name && break
	done
	if [ -z "$path" ]; then
		echo "skipped: $name is not installed"
		continue
	fi
	for order in "$lib:$path" "$path:$lib"; do
		# tcmalloc in front answers mremap by itself, and a fixed move of a partly registered mapping fails half-way.
		leave_out=
		case $order in *tcmalloc*:*zio*) leave_out="--without map_move" ;; esac
		# shellcheck disable=SC2086
		run "$name, LD_PRELOAD=$order" $((count / 40)) $all --with "$path" --preload "$order" $leave_out
	done
done
exit $failed
