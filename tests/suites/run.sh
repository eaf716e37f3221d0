#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whole suites of others with their files in a volume, for those who have an hour or more.
set -u
here=$(cd "$(dirname "$0")" && pwd)
all='postgresql sqlite python self stress'

usage() {
    cat <<END
usage: tests/suites/run.sh SUITE... [--road native|preload|mount]... [--logs DIR] [--slice]
  SUITE     of: $all, or all
  --road    only there; what fails preloaded or mounted alone is not compared with the disk, but is any failure
  --logs    keep each road's output and results there (default: build/suites-logs)
  --slice   only what \`make check\` does of it
tests/suites/fetch.sh gets PostgreSQL's and SQLite's sources first; ZIO_SUITES says where they are, if not in build/suites.
Exit codes: 0 all went well, 1 not, 2 wrong usage, 77 all were skipped.
END
}

suites=() roads=() whole=yes logs=
while [ $# -gt 0 ]; do
    case $1 in
    --road | --logs) [ $# -gt 1 ] || { usage >&2; exit 2; } ;;&
    --road)
        case $2 in native | preload | mount) roads+=("$2") ;; *) usage >&2; exit 2 ;; esac
        shift ;;
    --logs)
        logs=$2
        shift ;;
    --slice) whole=no ;;
    -h | --help) usage; exit 0 ;;
    all) read -ra suites <<<"$all" ;;
    *)
        case " $all " in *" $1 "*) suites+=("$1") ;; *) usage >&2; exit 2 ;; esac ;;
    esac
    shift
done
[ ${#suites[@]} -gt 0 ] || { usage >&2; exit 2; }
logs=${logs:-$here/../../build/suites-logs}
mkdir -p "$logs" || exit 1
logs=$(cd "$logs" && pwd)
[ ${#roads[@]} = 0 ] || export ZIO_SUITE_ROADS="${roads[*]}"
export ZIO_SUITE_LOGS=$logs ZIO_SUITE_WHOLE=$whole

status=77
for suite in "${suites[@]}"; do
    printf '%(%H:%M:%S)T %s\n' -1 "$suite"
    bash "$here/$suite.sh" | tee "$logs/$suite.out"
    case ${PIPESTATUS[0]} in
    0) [ $status = 1 ] || status=0 ;;
    77) ;;
    *) status=1 ;;
    esac
done
echo "logs: $logs"
exit $status
