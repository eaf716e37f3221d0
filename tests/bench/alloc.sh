#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "${0%/*}/smoke.sh"
smoke alloc
smoke alloc --source rewrite --policy always
