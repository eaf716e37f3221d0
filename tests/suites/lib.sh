# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For the suites that other projects made for themselves, run with their files in a volume: source it first. A suite's work is
# `SCRIPT work` in an empty directory, on each road: on the disk below (native), preloaded, and through the mount. It
# writes a line `ok NAME`, `bad NAME` or `skipped NAME` for each of its tests to $RESULTS and what explains a bad one to its output. A test
# that is ok natively has to be ok on the other roads, or stands in `exclusions` with the reason.
#
# Alone, or in `make check`, a script does a short slice of its suite; run.sh sets ZIO_SUITE_WHOLE=yes.
. "$(dirname "${BASH_SOURCE[0]}")/../fsprog/lib.sh"
SUITES=${ZIO_SUITES:-$top_builddir/suites}
EXCLUSIONS=$top_srcdir/tests/suites/exclusions
ROADS=${ZIO_SUITE_ROADS:-native preload mount}
export WHOLE=${ZIO_SUITE_WHOLE:-no} SUITES

# need_built FILE...: parts of $SUITES without which the suite is skipped.
need_built() {
    local f
    for f in "$@"; do
        [ -e "$SUITES/$f" ] || skip_all "$SUITES/$f is missing (tests/suites/fetch.sh gets and builds it; ZIO_SUITES names another place)"
    done
}

# of ROAD VERDICT: the sorted names of the tests that ended so.
of() {
    sed -n "s/^$2 //p" "$TMP/results.$1" | sort -u
}

excluded() {
    awk -v suite="$TEST_NAME" -v road="$1" '$1 == suite && $2 == road { print $3 }' "$EXCLUSIONS" | sort -u
}

# judge ROAD: against the native run, or, when there was none, against what failed at all.
judge() {
    local way=$1 name=$TEST_NAME/$1
    printf '    %s: %s ok, %s bad, %s skipped\n' "$way" "$(of "$way" ok | wc -l)" "$(of "$way" bad | wc -l)" "$(of "$way" skipped | wc -l)"
    if [ ! -s "$TMP/results.$way" ]; then
        fail "$name" "no results: $(tail -n 5 "$TMP/out.$way" | tr '\n' ' ')"
        return
    fi
    if [ "$way" = native ]; then
        of native bad | sed 's/^/    bad natively: /'
        check "$name ($(of native ok | wc -l) tests)" test -n "$(of native ok)"
        return
    fi
    if [ -e "$TMP/results.native" ]; then comm -23 <(of native ok) <(of "$way" ok); else of "$way" bad; fi |
        comm -23 - <(excluded "$way") >"$TMP/lost"
    if [ -s "$TMP/lost" ]; then
        fail "$name" "$(wc -l <"$TMP/lost") tests are ok natively but not here: $(head -n 30 "$TMP/lost" | tr '\n' ' ')"
        tail -n 200 "$TMP/out.$way"
    else
        ok "$name ($(of "$way" ok | wc -l) tests)"
    fi
    comm -12 <(excluded "$way") <(of "$way" ok) >"$TMP/stale"
    check "$name/exclusions $(tr '\n' ' ' <"$TMP/stale")" test ! -s "$TMP/stale"
}

# The user that the work is done as: empty, or a command to be put before it.
as_user=()
# be_user UID: the rest is done as that user, whose directories the roads' become.
be_user() {
    [ "$(id -u)" = 0 ] || skip_all "only root can become the user that this suite asks for, and mount for it"
    as_user=(setpriv "--reuid=$1" "--regid=$1" --clear-groups --inh-caps=-all)
    "${as_user[@]}" test -r "$LIBZIO" -a -x "$ZIO" || skip_all "an ordinary user can't read $LIBZIO"
    suite_user=$1
    chmod 755 "$TMP"
}

# roads SHORT WHOLE: the suite on each road, which may take so many seconds, and more where the native run shows that the machine is
# busy; each volume must be sound afterwards.
roads() {
    local way began limit=$1
    [ "$WHOLE" != yes ] || limit=$2
    for way in $ROADS; do
        way_of "$way"
        : >"$TMP/results.$way"
        if [ ${#as_user[@]} -gt 0 ]; then
            "${UNDER[@]}" chown "$suite_user:$suite_user" "$DIR"
            [ "$way" != preload ] || chown -R "$suite_user:$suite_user" "$TMP/volume.preload"
            chown "$suite_user" "$TMP/results.$way"
            UNDER=("${as_user[@]}" "${UNDER[@]}")
        fi
        export RESULTS=$TMP/results.$way ROAD=$way
        began=$SECONDS
        work_in "$way" "$limit"
        echo "    $way: $((SECONDS - began)) s, $(tail -n 1 "$TMP/out.$way")"
        cat "$TMP/err.$way" >>"$TMP/out.$way"
        [ "$way" != native ] || limit=$((limit + 5 * (SECONDS - began)))
        judge "$way"
        way_ends "$way"
        if [ -n "${ZIO_SUITE_LOGS:-}" ]; then
            cp "$TMP/out.$way" "$ZIO_SUITE_LOGS/$TEST_NAME.$way.log"
            cp "$TMP/results.$way" "$ZIO_SUITE_LOGS/$TEST_NAME.$way.results"
        fi
    done
}
