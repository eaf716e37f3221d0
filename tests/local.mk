# SPDX-License-Identifier: Apache-2.0
# How tests are run. A test prints `ok NAME`, `FAIL NAME: why` and `skip NAME: reason` lines (or TAP), exits 0, 1 or,
# wholly skipped, 77. Fragments add to TESTS (and to check_PROGRAMS); the cmocka programs go into UNIT_TESTS,
# because ./runtests runs those again in sanitizer builds.
TEST_EXTENSIONS = .sh
LOG_COMPILER = bash $(top_srcdir)/tests/deadline.sh
SH_LOG_COMPILER = $(LOG_COMPILER)
AM_TESTS_ENVIRONMENT = \
	top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)' abs_top_builddir='$(abs_top_builddir)' CMOCKA_MESSAGE_OUTPUT=TAP; \
	export top_srcdir top_builddir abs_top_builddir CMOCKA_MESSAGE_OUTPUT;
UNIT_TESTS =
TESTS += $(UNIT_TESTS)
EXTRA_DIST += %D%/deadline.sh %D%/lib.sh %D%/tally.awk

include tests/adversarial/local.mk
include tests/cli/local.mk
include tests/bench/local.mk
include tests/conform/local.mk
include tests/fs/mount.mk
include tests/fs/client.mk
include tests/fsprog/local.mk
include tests/oracle/local.mk
include tests/programs/local.mk
include tests/route/local.mk
include tests/sockmap/local.mk
include tests/suites/local.mk
include tests/unit/local.mk

# check-unit: the cmocka programs only. list-tests: what `./runtests --only` chooses from.
.PHONY: check-unit list-tests list-unit-tests
check-unit:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(UNIT_TESTS)'
list-tests:
	@printf '%s\n' $(TESTS)
list-unit-tests:
	@printf '%s\n' $(UNIT_TESTS)
