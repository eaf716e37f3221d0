# SPDX-License-Identifier: Apache-2.0
# The suites of others with their files in a volume: here a slice of each; run.sh does them whole. Python's slice is fsprog/python.sh.
suites_tests = %D%/postgresql.sh %D%/sqlite.sh %D%/stress.sh
TESTS += $(suites_tests)
dist_check_SCRIPTS += $(suites_tests) %D%/python.sh %D%/self.sh %D%/run.sh %D%/fetch.sh
EXTRA_DIST += %D%/lib.sh %D%/exclusions
