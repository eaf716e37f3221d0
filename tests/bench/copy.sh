#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "${0%/*}/smoke.sh"
for source in stable rewrite recv; do
	smoke copy --source $source
done
smoke copy --policy always --threshold 4k
