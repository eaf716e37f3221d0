#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One connection and the programs that are installed, joined for a moment; 77 where nothing can be joined.
. "${0%/*}/smoke.sh"
smoke sock
