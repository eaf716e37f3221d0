#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "${0%/*}/smoke.sh"
smoke micro
