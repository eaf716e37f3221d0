#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "${0%/*}/smoke.sh"
for send in write send writev; do
	smoke echo --send $send
done
smoke echo --recv waitall --skew 100
smoke echo --recv read --policy always --threshold 4k --sizes 10000
smoke fault
smoke fault --order spread --pages 0,3 --copies 2
