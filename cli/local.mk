# SPDX-License-Identifier: Apache-2.0
bin_PROGRAMS += zio
zio_SOURCES = %D%/main.c %D%/cli.h %D%/error.c %D%/paths.c %D%/text.c \
  %D%/run.c %D%/launch.c %D%/launch.h %D%/progfile.c %D%/routes.c %D%/features.c %D%/features.h \
  %D%/stat.c %D%/statread.c %D%/statread.h \
  %D%/doctor.c %D%/probe.h %D%/probe_uffd.c %D%/probe_system.c %D%/probe_fs.c %D%/selftest.c %D%/kernel_compat.h \
  %D%/become.c %D%/sockmap.c
zio_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
zio_LDADD = $(JANSSON_LIBS) -lpthread -lm

# zio-profile, which `zio profile` becomes: elfutils brings libraries that would slow the start of every other command.
pkglibexec_PROGRAMS += %D%/zio-profile
%C%_zio_profile_SOURCES = %D%/profile.c %D%/profile.h %D%/profile_report.c %D%/symbols.c %D%/symbols.h %D%/calibrate.c \
  %D%/calibrate.h %D%/launch.c %D%/launch.h %D%/progfile.c %D%/routes.c %D%/paths.c %D%/error.c %D%/text.c %D%/cli.h
%C%_zio_profile_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(LIBDW_CFLAGS)
%C%_zio_profile_LDADD = $(JANSSON_LIBS) $(LIBDW_LIBS) -lpthread -lm

# zio-fs, which `zio fs` becomes.
pkglibexec_PROGRAMS += %D%/zio-fs
%C%_zio_fs_SOURCES = %D%/fs_main.c %D%/error.c %D%/fs.h %D%/fs_print.c %D%/fs_progress.c %D%/fs_list.c \
  %D%/fs_side.h %D%/fs_side.c %D%/fs_copy.h %D%/fs_copy.c %D%/fs_copyfile.c %D%/fs_names.c %D%/fs_admin.c %D%/fs_usage.c %D%/fs_top.c %D%/cli.h %D%/text.c
%C%_zio_fs_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
%C%_zio_fs_LDADD = $(FSCLIENT_LIBS) $(JANSSON_LIBS)

# zio-sockmap, which `zio sockmap` becomes, and which `zio run --sockmap` starts.
if HAVE_BPF
pkglibexec_PROGRAMS += %D%/zio-sockmap
%C%_zio_sockmap_SOURCES = %D%/sockmap_main.c %D%/sockmap_tool.h %D%/sockmap_keep.c %D%/sockmap_cgroup.c %D%/sockmap_cgroup.h \
  %D%/sockmap_switch.c %D%/sockmap_status.c %D%/cli.h %D%/error.c %D%/text.c
%C%_zio_sockmap_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
%C%_zio_sockmap_LDADD = bpf/libzsockmap.la $(JANSSON_LIBS)
endif

# The rule that gives users /dev/userfaultfd. --with-udevrulesdir=/usr/lib/udev/rules.d puts it in force.
udevrulesdir = @udevrulesdir@
dist_udevrules_DATA = share/60-zio-userfaultfd.rules
