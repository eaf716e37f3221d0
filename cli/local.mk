# SPDX-License-Identifier: Apache-2.0
bin_PROGRAMS += zio
zio_SOURCES = %D%/main.c %D%/cli.h %D%/paths.c %D%/text.c \
  %D%/run.c %D%/launch.c %D%/launch.h %D%/progfile.c %D%/features.c %D%/features.h \
  %D%/stat.c %D%/statread.c %D%/statread.h \
  %D%/profile.c %D%/profile.h %D%/profile_report.c %D%/symbols.c %D%/symbols.h %D%/calibrate.c %D%/calibrate.h \
  %D%/doctor.c %D%/probe.h %D%/probe_uffd.c %D%/probe_system.c %D%/selftest.c %D%/kernel_compat.h \
  %D%/bench.c
zio_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(LIBDW_CFLAGS)
zio_LDADD = $(JANSSON_LIBS) $(LIBDW_LIBS) -lpthread -lm

# The rule that gives users /dev/userfaultfd. --with-udevrulesdir=/usr/lib/udev/rules.d puts it in force.
udevrulesdir = @udevrulesdir@
dist_udevrules_DATA = share/60-zio-userfaultfd.rules
