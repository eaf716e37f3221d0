#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Programs that are not installed are named and left out; 77 when none is there.
. "${0%/*}/smoke.sh"
smoke app
