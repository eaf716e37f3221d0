# SPDX-License-Identifier: Apache-2.0
# Tests of the zio command. They find the build tree in $top_builddir (default: the current directory).
cli_tests = %D%/commands.sh %D%/run.sh %D%/run-kinds.sh %D%/stat.sh %D%/doctor.sh %D%/profile.sh \
  %D%/fs_names.sh %D%/fs_admin.sh %D%/fs_copy.sh %D%/fs_top.sh
dist_check_SCRIPTS += $(cli_tests)
TESTS += $(cli_tests)
EXTRA_DIST += %D%/lib.sh

check_PROGRAMS += %D%/statpage %D%/copies
%C%_statpage_SOURCES = %D%/statpage.c
%C%_copies_SOURCES = %D%/copies.c

if HAVE_CMOCKA
check_PROGRAMS += %D%/unit-cli
UNIT_TESTS += %D%/unit-cli
%C%_unit_cli_SOURCES = %D%/unit-cli.c cli/text.c cli/statread.c cli/features.c
%C%_unit_cli_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_unit_cli_LDADD = $(CMOCKA_LIBS)
endif
