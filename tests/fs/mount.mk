# SPDX-License-Identifier: Apache-2.0
# zio mount.
mount_tests = %D%/mount_life.sh %D%/mount_work.sh %D%/mount_shared.sh %D%/mount_threads.sh
TESTS += $(mount_tests)
dist_check_SCRIPTS += $(mount_tests)
EXTRA_DIST += %D%/mount_lib.sh
check_PROGRAMS += %D%/mount_io %D%/mount_peer
%C%_mount_io_SOURCES = %D%/mount_io.c
%C%_mount_peer_SOURCES = %D%/mount_peer.c
%C%_mount_peer_LDADD = $(FSCLIENT_LIBS)
check_LTLIBRARIES += %D%/few_threads.la
%C%_few_threads_la_SOURCES = %D%/few_threads.c
%C%_few_threads_la_LDFLAGS = -module -shared -avoid-version -rpath /nowhere
