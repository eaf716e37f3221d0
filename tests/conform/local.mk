# SPDX-License-Identifier: Apache-2.0
# The conformance suite, and the ways in which it reaches a file system. `exclusions` is the only place for exceptions.
check_PROGRAMS += %D%/conform
%C%_conform_SOURCES = %D%/conform.h %D%/main.h %D%/main.c %D%/check.c \
	%D%/names.c %D%/perms.c %D%/owner.c %D%/access.c %D%/links.c %D%/dirs.c %D%/rename.c %D%/open.c \
	%D%/size.c %D%/io.c %D%/times.c %D%/xattr.c %D%/readdir.c %D%/at.c %D%/locks.c %D%/map.c
conform_tests = %D%/ext4.sh %D%/mount.sh %D%/mount_writeback.sh %D%/preload.sh
dist_check_SCRIPTS += $(conform_tests)
TESTS += $(conform_tests)
EXTRA_DIST += %D%/lib.sh %D%/exclusions
