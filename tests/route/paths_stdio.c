// SPDX-License-Identifier: Apache-2.0
// Streams over routed files: modes, positions, buffering, freopen; the three standard streams when their
// descriptors change; perror and dprintf; wide characters.
#include <locale.h>
#include <stdio_ext.h>
#include <sys/wait.h>
#include <wchar.h>

#include "tests/route/paths.h"

static long
size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (long)st.st_size : -1;
}

static void
mode(const char *path, const char *m)
{
    FILE *f;
    char buf[64] = "";
    int fl;

    errno = 0;
    f = fopen(path, m);
    trace("fopen %s %s: %s", path, m, f ? "open" : strerrorname_np(errno));
    if (!f)
        return;
    fl = fcntl(fileno(f), F_GETFL);
    trace("    flags %o cloexec %d tell %ld", (unsigned)fl & (O_ACCMODE | O_APPEND),
          fcntl(fileno(f), F_GETFD), ftell(f));
    T(fputs("PUT", f));
    T(ftell(f));
    T(fflush(f));
    rewind(f);
    T(fgets(buf, sizeof(buf), f) != NULL);
    trace("    read %s eof %d error %d", buf, feof(f), ferror(f) != 0);
    T(fclose(f));
    show_file(path);
}

static void
modes(void)
{
    static const char *const all[] = {"r",  "r+",  "w",  "w+", "a", "a+", "rb", "r+b", "rb+",
                                      "wx", "wbx", "re", "ae", "z", "wc", "",   "+r"};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        put("m", "0123456789");
        mode("m", all[i]);
    }
    mode("none", "r");
    mode("none", "r+");
    mode("new", "wx");
    mode("new2", "a+x");
    mode("d", "r");
    mode("d", "w");
    mode("none/x", "w");
    mode(P("abs"), "w+");
}

static void
positions(void)
{
    FILE *f = fopen("p", "w+");
    char buf[100];
    fpos_t pos;

    for (int i = 0; i < 5000; i++)
        fprintf(f, "line %05d\n", i);
    T(ftell(f));
    T(size_of("p") <= 55000);
    T(fseek(f, 110, SEEK_SET));
    T(fgets(buf, sizeof(buf), f) != NULL);
    trace("%s", buf);
    T(fgetpos(f, &pos));
    T(fseeko(f, -11, SEEK_END));
    T(fread(buf, 1, sizeof(buf), f));
    T(feof(f) != 0);
    T(fsetpos(f, &pos));
    T(ftello(f));
    T(ungetc('U', f));
    T(fgetc(f));
    T(fseek(f, -5, SEEK_SET));
    T(fseek(f, 10, 9));
    T(fseek(f, 3L << 32, SEEK_SET));
    T(fputc('E', f));
    T(ftello(f) == (3L << 32) + 1);
    T(fflush(f));
    T(size_of("p") == (3L << 32) + 1);
    T(ftruncate(fileno(f), 1000));
    rewind(f);
    T(fread(buf, 50, 2, f));
    T(fseek(f, 0, SEEK_CUR));
    T(fwrite("between", 7, 1, f));
    T(fseek(f, 95, SEEK_SET));
    T(fscanf(f, "%3c%20s", buf, buf + 50));
    buf[3] = '\0';
    trace("%s %s", buf, buf + 50);
    T(fclose(f));
    T(size_of("p"));
}

static void
buffering(void)
{
    FILE *f = fopen("b", "w"), *g;
    int fd, c, n = 0;
    char *line = NULL, big[10000];
    size_t room = 0;

    fputs("kept", f);
    T(size_of("b"));
    T(__fpending(f));
    T(fflush(NULL));
    T(size_of("b"));
    T(setvbuf(f, NULL, _IOLBF, 0));
    fputs(" half\nother", f);
    T(size_of("b"));
    T(setvbuf(f, NULL, _IONBF, 0));
    fputs(" now", f);
    T(size_of("b"));
    memset(big, 'B', sizeof(big));
    T(fwrite(big, 1, sizeof(big), f));
    T(size_of("b"));
    // Another sees it through a descriptor; the position is the stream's.
    fd = open("b", O_RDONLY);
    g = fdopen(fd, "r");
    T(fileno(g) == fd);
    while ((c = getc(g)) != EOF)
        n++;
    T(n);
    T(fclose(g));
    T(fcntl(fd, F_GETFD));
    T(fclose(f));
    f = fopen("b", "r");
    T(getline(&line, &room, f));
    trace("%s", line);
    T(getdelim(&line, &room, 'B', f));
    T(fseek(f, 1, SEEK_CUR));
    T(lseek(fileno(f), 0, SEEK_CUR) > 4000);
    T(fputs("no", f));
    T(ferror(f) != 0);
    T(fclose(f));
    free(line);
}

static void
by_descriptor(void)
{
    int fd = open("fd", O_RDWR | O_CREAT | O_TRUNC, 0644);
    FILE *f;

    T(write(fd, "abcdef", 6));
    f = fdopen(fd, "r+");
    T(ftell(f));
    T(fseek(f, 2, SEEK_SET));
    T(fputs("XY", f));
    T(fclose(f));
    show_file("fd");
    fd = open("fd", O_RDONLY);
    S((char *)fdopen(fd, "w"));
    S((char *)fdopen(fd, "q"));
    S((char *)fdopen(12345, "r"));
    close(fd);
    fd = open("fd", O_RDWR);
    f = fdopen(fd, "a");
    T(fcntl(fd, F_GETFL) & O_APPEND);
    T(fputs("end", f));
    T(fclose(f));
    show_file("fd");
    fd = open("fd", O_WRONLY | O_TRUNC);
    T(dprintf(fd, "%s %d\n", "printed", 42));
    show_file("fd");
    close(fd);
    T(dprintf(fd, "x"));
}

static void
reopens(void)
{
    FILE *f = fopen("r1", "w"), *g;
    int fd = fileno(f);

    T(fputs("first", f));
    g = freopen("r2", "w", f);
    T(g == f);
    T(fileno(g) == fd);
    show_file("r1");
    T(fputs("second", g));
    g = freopen(NULL, "r", g);
    T(g == f);
    show_file("r2");
    T(fgetc(g));
    g = freopen("/dev/null", "r", g); // away from the volume
    T(g == f);
    T(fgetc(g));
    g = freopen("r2", "a+", g); // and back
    T(g == f);
    T(fputs("!", g));
    rewind(g);
    T(fgetc(g));
    T(fileno(g) == fd);
    S((char *)freopen("none", "r", g));
    T(fcntl(fd, F_GETFD));
    show_file("r2");
    g = fopen("/dev/null", "w");
    fd = fileno(g);
    f = freopen("r3", "w+", g); // a stream that was never the volume's
    T(f == g);
    T(fileno(f) == fd);
    T(fputs("third", f));
    T(fseek(f, 1, SEEK_SET));
    T(fgetc(f));
    T(fclose(f));
    show_file("r3");
}

void
family_stdio(void)
{
    T(mkdir("d", 0755));
    modes();
    positions();
    buffering();
    by_descriptor();
    reopens();
    {
        FILE *left = fopen("left", "w");

        T(left != NULL);
        fputs("flushed by exit", left); // looked at by paths.sh
    }
}

// ---- stdin, stdout, stderr ----

static void
outputs(void)
{
    int fd = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0644), old = dup(1);
    FILE *copy = stdout; // as C++'s streams keep it

    printf("before ");
    T(dup2(fd, 1));
    printf("after ");
    T(fflush(stdout));
    show_file("out"); // "before" was in the buffer: it comes here, too
    printf("pending ");
    T(dup2(old, 1));
    printf("native\n");
    T(fflush(stdout));
    show_file("out");
    T(dup2(fd, 1));
    puts("again");
    T(fflush(stdout));
    show_file("out");
    T(fputs("by a copy of stdout\n", copy));
    T(fflush(copy));
    show_file("out");
    T(fileno(stdout));
    T(dup2(old, 1));
    close(old);
    close(fd);
}

static void
errors(void)
{
    int fd = open("err", O_RDWR | O_CREAT | O_TRUNC, 0644), old = dup(2);

    T(dup2(fd, 2));
    fprintf(stderr, "at once %d\n", 1);
    show_file("err");
    errno = ENOENT;
    perror("what");
    errno = EACCES;
    perror(NULL);
    T(dprintf(2, "by number\n"));
    show_file("err");
    T(dup2(old, 2));
    close(old);
    close(fd);
}

static void
inputs(void)
{
    char buf[64] = "";
    int fd;

    put("in", "one\ntwo\nthree\n");
    put("in2", "four\n");
    fd = open("in", O_RDONLY);
    T(dup2(fd, 0));
    close(fd);
    T(scanf("%63s", buf));
    trace("%s", buf);
    T(getchar());
    T(fgets(buf, sizeof(buf), stdin) != NULL);
    trace("%s", buf);
    fd = open("in2", O_RDONLY);
    T(dup2(fd, 0)); // what was read ahead comes first
    close(fd);
    T(fgets(buf, sizeof(buf), stdin) != NULL);
    trace("%s", buf);
    T(fgets(buf, sizeof(buf), stdin) != NULL);
    trace("%s", buf);
    T(fgets(buf, sizeof(buf), stdin) != NULL);
    T(freopen("in", "r", stdin) != NULL);
    T(fileno(stdin));
    T(getchar());
    T(fflush(stdin));
    T(lseek(0, 0, SEEK_CUR));
}

static void
reopen_std(void)
{
    pid_t p = fork();
    int st = 0;

    if (p == 0) {
        T(freopen("std1", "w", stdout) != NULL);
        printf("to std1");
        T(fileno(stdout));
        T(freopen("std2", "a", stdout) != NULL);
        show_file("std1");
        printf("to std2, flushed by exit");
        T(freopen("stderr", "w", stderr) != NULL);
        fprintf(stderr, "to stderr");
        exit(7);
    }
    waitpid(p, &st, 0);
    trace("exit %d", WEXITSTATUS(st));
    show_file("std1");
    show_file("std2");
    show_file("stderr");
}

static void
close_std(void)
{
    pid_t p = fork();
    int st = 0;

    if (p == 0) {
        int fd = open("closed", O_WRONLY | O_CREAT | O_TRUNC, 0644);

        dup2(fd, 1);
        close(fd);
        printf("last words");
        T(fclose(stdout));
        show_file("closed");
        T(fcntl(1, F_GETFD));
        T(open("taken", O_WRONLY | O_CREAT, 0644));
        exit(3);
    }
    waitpid(p, &st, 0);
    trace("exit %d", WEXITSTATUS(st));
}

// A stream shared with a child: what is in the buffer is the child's, too, and the offset is one.
static void
with_fork(void)
{
    FILE *f = fopen("forked", "w");
    pid_t p;
    int st;

    fputs("both ", f);
    p = fork();
    if (p == 0) {
        fputs("child ", f);
        fflush(f);
        _exit(0);
    }
    waitpid(p, &st, 0);
    fputs("parent", f);
    T(fclose(f));
    show_file("forked");
}

void
family_std(void)
{
    outputs();
    errors();
    inputs();
    reopen_std();
    close_std();
    with_fork();
}

// ---- wide characters ----

void
family_wide(void)
{
    wchar_t buf[32] = L"";
    FILE *f;
    int n;

    setlocale(LC_ALL, "C.UTF-8");
    f = fopen("w", "w");
    T(fwide(f, 0) == 0);
    T(fputws(L"gr\u00fc\u00df \u20ac\n", f));
    T(fputwc(L'\u00e4', f));
    T(fwprintf(f, L"%d %ls\n", 5, L"f\u00fcnf"));
    T(fclose(f));
    show_file("w");
    f = fopen("w", "r");
    T(fgetwc(f));
    T(ungetwc(L'\u00c4', f));
    T(fgetws(buf, 32, f) != NULL);
    T(wcslen(buf));
    T(buf[0]);
    T(buf[3]);
    T(fwscanf(f, L"%lc%d %ls", buf, &n, buf + 4));
    T(n);
    T(buf[0]);
    T(buf[5]);
    T(getwc(f));
    T(getwc(f));
    T(feof(f) != 0);
    T(fclose(f));
    put("bad", "a\377b");
    f = fopen("bad", "r");
    T(fgetwc(f));
    T(fgetwc(f));
    T(ferror(f) != 0);
    T(fclose(f));
}
