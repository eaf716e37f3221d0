# SPDX-License-Identifier: Apache-2.0
# The client library's programs and examples.
fs_client_tests = %D%/client_examples.sh
TESTS += $(fs_client_tests)
EXTRA_DIST += $(fs_client_tests)
