#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# zio doctor: its JSON, its exit code, and the answers when kernel features are taken away or limits are set.
. "${srcdir:-.}/tests/cli/lib.sh"
need_python

# doctor [VARIABLE=VALUE...]: the exit code must be what the JSON says.
doctor() {
    env "$@" "$zio" doctor --json >"$tmp/out" 2>"$tmp/err"
    code=$?
    json "$tmp/out" "$code == (0 if j['elision'] else 1)" \
        "all(c['status'] in ('OK', 'degraded', 'missing') and c['why'] for c in j['checks'])" \
        "j['elision'] == all(c['status'] != 'missing' for c in j['checks'] if c['needed'])"
    [ "$code" -le 1 ] || fail "exit code $code"
}
status='{c["id"]: c["status"] for c in j["checks"]}'

doctor ZIO_X=
json "$tmp/out" "len(j['checks']) >= 15 and j['verdict']"
"$zio" doctor >"$tmp/text"
[ $? = "$code" ] || fail "text and JSON differ in their exit code"
tail -n 1 "$tmp/text" | grep -q '^Copies are ' || fail "no verdict at the end"

for name in uffd kernelfaults; do
    doctor ZIO_FEATURES=-$name
    [ "$code" = 1 ] || fail "elision without $name"
    json "$tmp/out" "(${status})['$name'] == 'missing' and '-$name' in j['verdict']"
done
for name in move wp events pagemapscan procmapquery populatewrite; do
    doctor ZIO_FEATURES=-$name
    json "$tmp/out" "(${status})['$name'] == 'degraded'" \
        "all('-$name' in c['why'] and c['mend'] for c in j['checks'] if c['id'] == '$name')"
done
doctor ZIO_FEATURES=-move,-uffd
json "$tmp/out" "(${status})['move'] == 'degraded' and (${status})['uffd'] == 'missing'"
ZIO_FEATURES=-nonsense expect 2 "$zio" doctor
printed err "'-nonsense' is not one of"
doctor ZIO_DISABLE=1
[ "$code" = 1 ] || fail "elision with ZIO_DISABLE=1"
json "$tmp/out" "'ZIO_DISABLE' in j['verdict']"

# A limit of the address space; sanitizers cannot live under one.
# shellcheck disable=SC3045 # every sh here knows -v
if (ulimit -v 4000000 && "$zio" --version) >/dev/null 2>&1; then
    # shellcheck disable=SC3045
    (ulimit -v 4000000 && exec "$zio" doctor --json) >"$tmp/out" 2>"$tmp/err"
    [ $? = 1 ] || fail "elision under RLIMIT_AS"
    json "$tmp/out" "(${status})['addrspace'] == 'missing'" \
        "[c['mend'] for c in j['checks'] if c['id'] == 'addrspace'] == ['ulimit -v unlimited']"
fi

# An ordinary user gets a reason and a command where the machine gives kernel faults to root only.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    setpriv --reuid=65534 --regid=65534 --clear-groups "$zio" doctor --json >"$tmp/out" 2>"$tmp/err"
    json "$tmp/out" "all(c['mend'] for c in j['checks'] if c['id'] == 'kernelfaults' and c['status'] == 'missing')"
fi
