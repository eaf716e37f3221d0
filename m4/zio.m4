# SPDX-License-Identifier: Apache-2.0
# zIO's own configure switches.

# --enable-sanitizer=LIST: build everything but the memops library with -fsanitize=LIST.
AC_DEFUN([ZIO_SANITIZER], [
  AC_ARG_ENABLE([sanitizer],
    [AS_HELP_STRING([--enable-sanitizer=LIST], [address,undefined or thread])],
    [zio_sanitizer=$enableval], [zio_sanitizer=no])
  AS_CASE([$zio_sanitizer],
    [no], [zio_sanitizer=],
    [yes], [zio_sanitizer=address,undefined])
  ZIO_SAN_CFLAGS=
  AS_IF([test -n "$zio_sanitizer"],
    [ZIO_SAN_CFLAGS="-fsanitize=$zio_sanitizer -fno-omit-frame-pointer -fno-sanitize-recover=all"])
  AM_CONDITIONAL([SANITIZER], [test -n "$zio_sanitizer"])
  AC_SUBST([ZIO_SAN_CFLAGS])
])

# --enable-werror: warnings are errors in CI, never for users.
AC_DEFUN([ZIO_WARNINGS], [
  AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [make warnings errors (CI)])],
    [], [enable_werror=no])
  zio_werror=warn
  ZIO_WARN="-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wno-unused-parameter -Wno-missing-field-initializers"
  AS_IF([test "$enable_werror" = yes], [zio_werror=error; ZIO_WARN="$ZIO_WARN -Werror"])
  ZIO_CFLAGS="-std=gnu11 -fvisibility=hidden $ZIO_WARN"
  AC_SUBST([ZIO_CFLAGS])
])

# What bpf/ needs. Without one of the parts, zio is built without sockmap; with --enable-sockmap, that is an error.
AC_DEFUN([ZIO_BPF], [
  AC_ARG_ENABLE([sockmap], [AS_HELP_STRING([--enable-sockmap], [fail where socket redirection cannot be built (default: build it where it can be)])],
    [], [enable_sockmap=auto])
  PKG_CHECK_MODULES([LIBBPF], [libbpf >= 1.0], [zio_bpf=yes], [zio_bpf="no (apt install libbpf-dev)"])
  AC_PATH_PROG([CLANG], [clang], [])
  AC_PATH_PROG([BPFTOOL], [bpftool], [], [$PATH:/usr/sbin:/sbin])
  AC_ARG_VAR([VMLINUX_BTF], [file with the kernel's types (default /sys/kernel/btf/vmlinux)])
  AS_IF([test -z "$VMLINUX_BTF"], [VMLINUX_BTF=/sys/kernel/btf/vmlinux])
  AS_IF([test -z "$CLANG"], [zio_bpf="no (apt install clang)"],
    [test -z "$BPFTOOL" || ! "$BPFTOOL" version >/dev/null 2>&1], [zio_bpf="no (apt install bpftool)"],
    [test ! -r "$VMLINUX_BTF"], [zio_bpf="no (this kernel has no $VMLINUX_BTF: CONFIG_DEBUG_INFO_BTF)"])
  AS_IF([test "$enable_sockmap" = no], [zio_bpf="no (--disable-sockmap)"])
  AS_IF([test "$enable_sockmap" = yes && test "$zio_bpf" != yes], [AC_MSG_ERROR([--enable-sockmap: $zio_bpf])])
  AM_CONDITIONAL([HAVE_BPF], [test "$zio_bpf" = yes])
])
