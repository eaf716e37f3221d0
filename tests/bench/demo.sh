#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "${0%/*}/smoke.sh"
for program in redis-server redis-benchmark; do
	if ! command -v $program >/dev/null; then
		echo "skipped: $program is not installed"
		exit 77
	fi
done
smoke demo
