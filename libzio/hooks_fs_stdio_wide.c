// SPDX-License-Identifier: Apache-2.0
// Wide characters on streams of ours. glibc's cookie streams are of bytes for good, so that each call is made
// of byte calls here, with the locale's encoding (none that a locale has is stateful, so that a character is
// whole by itself). Two things differ from a native stream: byte calls on it go on working after wide ones,
// and a width in fwscanf counts bytes.
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "libzio/hooks_fs_stdio.h"

#define NATIVE(fp) (route_idle() || !stream_is_ours(fp))

// Which kind of calls came first; in a byte of FILE that the C library does not use.
#define ORIENTED(fp) ((fp)->_unused2[0])

static wint_t
failed(FILE *fp, int err)
{
    fp->_flags |= F_ERR_SEEN;
    errno = err;
    return WEOF;
}

static wint_t
get(FILE *fp)
{
    mbstate_t state = {0};
    wchar_t wc;

    ORIENTED(fp) = 1;
    for (bool first = true;; first = false) {
        int c = getc_unlocked(fp);
        char byte = (char)c;
        size_t n;

        if (c == EOF)
            return first || ferror_unlocked(fp) ? WEOF : failed(fp, EILSEQ);
        n = mbrtowc(&wc, &byte, 1, &state);
        if (n == (size_t)-1)
            return failed(fp, EILSEQ);
        if (n != (size_t)-2)
            return (wint_t)wc;
    }
}

static wint_t
put(wchar_t wc, FILE *fp)
{
    mbstate_t state = {0};
    char buf[MB_LEN_MAX];
    size_t n = wcrtomb(buf, wc, &state);

    ORIENTED(fp) = 1;
    if (n == (size_t)-1)
        return failed(fp, EILSEQ);
    return fwrite_unlocked(buf, 1, n, fp) == n ? (wint_t)wc : WEOF;
}

static wint_t
unget(wint_t wc, FILE *fp)
{
    mbstate_t state = {0};
    char buf[MB_LEN_MAX];
    size_t n = wc == WEOF ? (size_t)-1 : wcrtomb(buf, (wchar_t)wc, &state);

    if (n == (size_t)-1)
        return WEOF;
    while (n > 0)
        if (ungetc((unsigned char)buf[--n], fp) == EOF)
            return WEOF;
    return wc;
}

static wchar_t *
get_line(wchar_t *buf, int n, FILE *fp)
{
    int at = 0;

    if (n <= 0)
        return NULL;
    while (at < n - 1) {
        wint_t wc = get(fp);

        if (wc == WEOF && (at == 0 || ferror_unlocked(fp)))
            return NULL;
        if (wc == WEOF)
            break;
        buf[at++] = (wchar_t)wc;
        if (wc == L'\n')
            break;
    }
    buf[at] = L'\0';
    return buf;
}

static int
put_line(const wchar_t *s, FILE *fp)
{
    for (; *s; s++)
        if (put(*s, fp) == WEOF)
            return -1;
    return 1;
}

static int
print(FILE *fp, const wchar_t *format, va_list ap)
{
    int r = -1;

    for (size_t room = 256; room <= (size_t)1 << 26; room *= 4) { // vswprintf does not say how much it needs
        wchar_t *buf = malloc(room * sizeof(*buf));
        va_list again;
        int n;

        if (!buf)
            return -1;
        va_copy(again, ap);
        n = vswprintf(buf, room, format, again);
        va_end(again);
        if (n >= 0)
            r = put_line(buf, fp) < 0 ? -1 : n;
        free(buf);
        if (n >= 0 || errno == EILSEQ)
            return r;
    }
    errno = EOVERFLOW;
    return -1;
}

static int
scan(FILE *fp, const wchar_t *format, va_list ap)
{
    size_t n = wcslen(format) * MB_LEN_MAX + 1;
    char *bytes = malloc(n);
    int r = -1;

    ORIENTED(fp) = 1;
    if (bytes && wcstombs(bytes, format, n) != (size_t)-1)
        r = vfscanf(fp, bytes, ap);
    free(bytes);
    return r;
}

// ---- the hooks ----

// NAME and NAME_unlocked.
#define BOTH(type, name, params, args, ours)                                                                 \
    ZIO_EXPORT type name params                                                                              \
    {                                                                                                        \
        type r;                                                                                              \
                                                                                                             \
        if (NATIVE(fp))                                                                                      \
            return FS_REAL(name) args;                                                                       \
        flockfile(fp);                                                                                       \
        r = ours args;                                                                                       \
        funlockfile(fp);                                                                                     \
        return r;                                                                                            \
    }                                                                                                        \
    ZIO_EXPORT type name##_unlocked params                                                                   \
    {                                                                                                        \
        return NATIVE(fp) ? FS_REAL(name##_unlocked) args : ours args;                                       \
    }

BOTH(wint_t, fgetwc, (FILE * fp), (fp), get)
BOTH(wint_t, fputwc, (wchar_t wc, FILE *fp), (wc, fp), put)
BOTH(wchar_t *, fgetws, (wchar_t * buf, int n, FILE *fp), (buf, n, fp), get_line)
BOTH(int, fputws, (const wchar_t *s, FILE *fp), (s, fp), put_line)
ZIO_ALIAS(getwc, fgetwc);
ZIO_ALIAS(getwc_unlocked, fgetwc_unlocked);
ZIO_ALIAS(putwc, fputwc);
ZIO_ALIAS(putwc_unlocked, fputwc_unlocked);

ZIO_EXPORT wint_t
getwchar(void)
{
    return fgetwc(stdin);
}

ZIO_EXPORT wint_t
getwchar_unlocked(void)
{
    return fgetwc_unlocked(stdin);
}

ZIO_EXPORT wint_t
putwchar(wchar_t wc)
{
    return fputwc(wc, stdout);
}

ZIO_EXPORT wint_t
putwchar_unlocked(wchar_t wc)
{
    return fputwc_unlocked(wc, stdout);
}

ZIO_EXPORT wint_t
ungetwc(wint_t wc, FILE *fp)
{
    return NATIVE(fp) ? FS_REAL(ungetwc)(wc, fp) : unget(wc, fp);
}

void __chk_fail(void) __attribute__((noreturn));

wchar_t *__fgetws_chk(wchar_t *buf, size_t room, int n, FILE *fp);
ZIO_EXPORT wchar_t *
__fgetws_chk(wchar_t *buf, size_t room, int n, FILE *fp)
{
    if (n > 0 && (size_t)n > room)
        __chk_fail();
    return fgetws(buf, n, fp);
}

wchar_t *__fgetws_unlocked_chk(wchar_t *buf, size_t room, int n, FILE *fp);
ZIO_EXPORT wchar_t *
__fgetws_unlocked_chk(wchar_t *buf, size_t room, int n, FILE *fp)
{
    if (n > 0 && (size_t)n > room)
        __chk_fail();
    return fgetws_unlocked(buf, n, fp);
}

ZIO_EXPORT int
fwide(FILE *fp, int mode)
{
    if (NATIVE(fp))
        return FS_REAL(fwide)(fp, mode);
    if (!ORIENTED(fp) && fp->_IO_buf_base)
        ORIENTED(fp) = -1;
    if (!ORIENTED(fp) && mode != 0)
        ORIENTED(fp) = mode > 0 ? 1 : -1;
    return ORIENTED(fp);
}

ZIO_EXPORT int
vfwprintf(FILE *fp, const wchar_t *format, va_list ap)
{
    return NATIVE(fp) ? FS_REAL(vfwprintf)(fp, format, ap) : print(fp, format, ap);
}

ZIO_EXPORT int
vwprintf(const wchar_t *format, va_list ap)
{
    return vfwprintf(stdout, format, ap);
}

#define VARIADIC(call)                                                                                       \
    do {                                                                                                     \
        va_list ap;                                                                                          \
        int r;                                                                                               \
                                                                                                             \
        va_start(ap, format);                                                                                \
        r = call;                                                                                            \
        va_end(ap);                                                                                          \
        return r;                                                                                            \
    } while (0)

ZIO_EXPORT int
fwprintf(FILE *fp, const wchar_t *format, ...)
{
    VARIADIC(vfwprintf(fp, format, ap));
}

ZIO_EXPORT int
wprintf(const wchar_t *format, ...)
{
    VARIADIC(vfwprintf(stdout, format, ap));
}

int __vfwprintf_chk(FILE *fp, int flag, const wchar_t *format, va_list ap);
ZIO_EXPORT int
__vfwprintf_chk(FILE *fp, int flag, const wchar_t *format, va_list ap)
{
    return NATIVE(fp) ? FS_REAL(__vfwprintf_chk)(fp, flag, format, ap) : print(fp, format, ap);
}

int __fwprintf_chk(FILE *fp, int flag, const wchar_t *format, ...);
ZIO_EXPORT int
__fwprintf_chk(FILE *fp, int flag, const wchar_t *format, ...)
{
    VARIADIC(__vfwprintf_chk(fp, flag, format, ap));
}

int __vwprintf_chk(int flag, const wchar_t *format, va_list ap);
ZIO_EXPORT int
__vwprintf_chk(int flag, const wchar_t *format, va_list ap)
{
    return __vfwprintf_chk(stdout, flag, format, ap);
}

int __wprintf_chk(int flag, const wchar_t *format, ...);
ZIO_EXPORT int
__wprintf_chk(int flag, const wchar_t *format, ...)
{
    VARIADIC(__vfwprintf_chk(stdout, flag, format, ap));
}

// The scanf family has two forms, of which the header makes one under the other's name: these have names of
// their own and get the C library's by assembler names.
#define SCANS(vf, f, v, plain)                                                                               \
    int zio_##vf(FILE *fp, const wchar_t *format, va_list ap);                                               \
    int zio_##vf(FILE *fp, const wchar_t *format, va_list ap)                                                \
    {                                                                                                        \
        return NATIVE(fp) ? FS_REAL(vf)(fp, format, ap) : scan(fp, format, ap);                              \
    }                                                                                                        \
    int zio_##f(FILE *fp, const wchar_t *format, ...);                                                       \
    int zio_##f(FILE *fp, const wchar_t *format, ...)                                                        \
    {                                                                                                        \
        VARIADIC(zio_##vf(fp, format, ap));                                                                  \
    }                                                                                                        \
    int zio_##v(const wchar_t *format, va_list ap);                                                          \
    int zio_##v(const wchar_t *format, va_list ap)                                                           \
    {                                                                                                        \
        return zio_##vf(stdin, format, ap);                                                                  \
    }                                                                                                        \
    int zio_##plain(const wchar_t *format, ...);                                                             \
    int zio_##plain(const wchar_t *format, ...)                                                              \
    {                                                                                                        \
        VARIADIC(zio_##vf(stdin, format, ap));                                                               \
    }                                                                                                        \
    ZIO_ALIAS(vf, zio_##vf);                                                                                 \
    ZIO_ALIAS(f, zio_##f);                                                                                   \
    ZIO_ALIAS(v, zio_##v);                                                                                   \
    ZIO_ALIAS(plain, zio_##plain)

SCANS(vfwscanf, fwscanf, vwscanf, wscanf);
SCANS(__isoc99_vfwscanf, __isoc99_fwscanf, __isoc99_vwscanf, __isoc99_wscanf);
