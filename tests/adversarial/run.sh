#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deadline: 2400
# Every adversarial case: plain, under the library eliding whatever it can, and with the defaults.
# From a build tree: tests/adversarial/run.sh [NAME...]; `adversarial --list` names them.
build=${abs_top_builddir:-$(pwd)}
exec "$build/tests/adversarial/adversarial" --all --jobs "${ZIO_TEST_JOBS:-2}" \
	--preload "${ZIO_TEST_PRELOAD:-$build/libzio/.libs/libzio.so}" "$@"
