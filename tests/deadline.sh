# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Run one test with a deadline, so that a hang is a failure and not a lost night: deadline.sh TEST [ARG]...
# A script states its own with a line `# deadline: SECONDS`; ZIO_TEST_DEADLINE overrules; a soak adds its length.
set -u
test=$1
limit=600
case $test in
*.sh)
    [ -x "$test" ] || set -- sh "$@"
    own=$(sed -n 's/^# deadline: \([0-9]*\)$/\1/p' "$test")
    limit=${own:-$limit} ;;
esac
limit=$((${ZIO_TEST_DEADLINE:-$limit} + ${ZIO_SOAK:-0} * 2))
# timeout makes a process group of its own, which neither ^C nor make's end would reach: pass those on.
timeout --kill-after=20 "$limit" "$@" </dev/null &
pid=$!
trap 'kill -TERM $pid; wait $pid; exit 130' INT TERM HUP
wait $pid
status=$?
if [ $status -eq 124 ] || [ $status -eq 137 ]; then
    printf '\nFAIL %s: killed; still running after its deadline of %s s (or killed by another hand)\n' "$test" "$limit"
    exit 1
fi
exit $status
