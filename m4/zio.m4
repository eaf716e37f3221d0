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
