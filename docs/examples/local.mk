# SPDX-License-Identifier: Apache-2.0
# Built by `make check`, and run by tests/fs/client_examples.sh, which also builds them as a stranger would, with pkg-config.
check_PROGRAMS += %D%/copytree %D%/logappend
%C%_copytree_SOURCES = %D%/copytree.c
%C%_copytree_CPPFLAGS = -I$(top_srcdir)/fsclient
%C%_copytree_CFLAGS = $(AM_CFLAGS)
%C%_copytree_LDADD = fsclient/libfsclient.la
%C%_logappend_SOURCES = %D%/logappend.c
%C%_logappend_CPPFLAGS = -I$(top_srcdir)/fsclient
%C%_logappend_CFLAGS = $(AM_CFLAGS)
%C%_logappend_LDADD = fsclient/libfsclient.la
