// SPDX-License-Identifier: Apache-2.0
// Unix sockets with names: what each side is told of them.
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/route/core.h"

#define PLACE offsetof(struct sockaddr_un, sun_path)

static struct sockaddr_un un;

static struct sockaddr *
A(const char *path)
{
    un = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(un.sun_path, path, strnlen(path, sizeof un.sun_path));
    return (struct sockaddr *)&un;
}

static void
show_name(const char *text, const struct sockaddr_un *a, socklen_t len)
{
    if (len <= PLACE)
        trace("%s: no name, %u bytes, family %d", text, len, a->sun_family);
    else
        trace("%s: %.*s, %ld more bytes", text, (int)sizeof a->sun_path, a->sun_path,
              (long)len - (long)PLACE - (long)strnlen(a->sun_path, sizeof a->sun_path));
}

static void
show_both(const char *text, int fd)
{
    struct sockaddr_un a = {0};
    socklen_t len = sizeof a;

    T(getsockname(fd, (struct sockaddr *)&a, &len));
    trace("%s", text);
    show_name("its own", &a, len);
    memset(&a, 0, sizeof a);
    len = sizeof a;
    T(getpeername(fd, (struct sockaddr *)&a, &len));
    show_name("the other's", &a, len);
}

static int
sock(int type)
{
    return socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
}

static void
talk(const char *text, int a, int b)
{
    char buf[16] = "";
    ssize_t w = write(a, text, 4), r = read(b, buf, sizeof buf - 1);

    trace("%s: write %zd, read %zd, %s", text, w, r, buf);
}

static void
streams(void)
{
    struct sockaddr_un a = {0};
    socklen_t len = sizeof a;
    struct stat st = {0};
    int s = sock(SOCK_STREAM), c = sock(SOCK_STREAM), c2 = sock(SOCK_STREAM), d;
    char small[8];

    T(connect(c, A(P("s")), sizeof un));
    T(bind(s, A(P("s")), sizeof un));
    T(stat(P("s"), &st));
    trace("mode %o, links %ld", st.st_mode, (long)st.st_nlink);
    T(connect(c, A(P("s")), sizeof un)); // nobody listens
    T(bind(c, A(P("s")), sizeof un));
    T(bind(s, A(P("other")), sizeof un)); // has a name
    T(access(P("other"), F_OK));
    T(listen(s, 5));
    T(connect(c, A(P("s")), sizeof un));
    T((d = accept(s, (struct sockaddr *)&a, &len)));
    show_name("accepted", &a, len);
    show_both("client", c);
    show_both("server", d);
    talk("ping", c, d);
    T(close(d));
    T(bind(c2, A("relative"), sizeof un));
    T(connect(c2, A("s"), sizeof un));
    len = sizeof a;
    T((d = accept4(s, (struct sockaddr *)&a, &len, SOCK_NONBLOCK)));
    show_name("with a name", &a, len);
    show_both("server", d);
    len = sizeof small;
    T(getpeername(d, (struct sockaddr *)small, &len));
    trace("length %u", len);
    T(getsockname(d, NULL, NULL));
    T(close(d));
    T(close(c2));
    T(rename(P("s"), P("s2")));
    T((c2 = sock(SOCK_STREAM)));
    T(connect(c2, A(P("s")), sizeof un));
    T(symlink("s2", P("link")));
    T(connect(c2, A(P("link")), sizeof un));
    T((d = accept(s, NULL, NULL)));
    show_both("renamed", c2);
    T(close(d));
    T(close(c2));
    T((c2 = sock(SOCK_DGRAM)));
    T(connect(c2, A(P("s2")), sizeof un)); // of another type
    T(close(c2));
    T(close(s));
    T((c2 = sock(SOCK_STREAM)));
    T(connect(c2, A(P("s2")), sizeof un)); // its process has gone
    T(unlink(P("s2")));
    T(connect(c2, A(P("s2")), sizeof un));
    T(mknod(P("made"), S_IFSOCK | 0644, 0));
    T(connect(c2, A(P("made")), sizeof un));
    close(make("file", "text"));
    T(connect(c2, A(P("file")), sizeof un));
    T(connect(c2, A(P("file/x")), sizeof un));
    T(bind(c2, A(P("file")), sizeof un));
    T(bind(c2, A(P("none/x")), sizeof un));
    T(bind(c2, A(P("x")), 1));
    T(bind(c2, A(P("x")), sizeof un + 1));
    T(bind(-1, A(P("x")), sizeof un));
    T(bind(1 << 20, A(P("x")), sizeof un));
    T(access(P("x"), F_OK));
    T(unlink(P("relative")));
    T((s = sock(SOCK_STREAM)));
    T(bind(s, A("relative"), sizeof un)); // the name anew
    T(listen(s, 1));
    T(connect(c2, A("./relative"), sizeof un));
    T(open("relative", O_RDONLY));
    T(close(c2));
    T(close(c));
    T(close(s));
}

static void
long_names(void)
{
    char name[120];
    int s, c;

    memset(name, 'n', sizeof name);
    for (int n = 106; n <= 108; n++) {
        struct sockaddr_un a = {0};
        socklen_t len = sizeof a;

        name[n] = '\0';
        T((s = sock(SOCK_DGRAM)));
        T(bind(s, A(name), (socklen_t)(PLACE + (size_t)n)));
        T(getsockname(s, (struct sockaddr *)&a, &len));
        show_name("long", &a, len);
        T((c = sock(SOCK_DGRAM)));
        T(connect(c, A(name), (socklen_t)(PLACE + (size_t)n)));
        T(unlink(name));
        T(close(s));
        T(close(c));
        name[n] = 'n';
    }
}

static void
datagrams(void)
{
    struct sockaddr_un from = {0};
    struct iovec iov = {(char *)"by sendmsg", 10}, in;
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    struct mmsghdr mm[2] = {{{0}, 0}, {{0}, 0}};
    struct sockaddr_un to, who[2] = {{0}, {0}};
    socklen_t len = sizeof from;
    int a = sock(SOCK_DGRAM), b = sock(SOCK_DGRAM);
    char buf[32] = "", two[2][16];

    T(bind(a, A(P("a")), sizeof un));
    T(bind(b, A("b"), sizeof un));
    T(sendto(a, "by sendto", 9, 0, A(P("b")), sizeof un));
    T(recvfrom(b, buf, sizeof buf, 0, (struct sockaddr *)&from, &len));
    trace("got %.9s", buf);
    show_name("from", &from, len);
    T(sendto(b, "back", 4, 0, (struct sockaddr *)&from, len));
    T(recv(a, buf, sizeof buf, 0));
    to = *(struct sockaddr_un *)A(P("b"));
    m.msg_name = &to;
    m.msg_namelen = sizeof to;
    T(sendmsg(a, &m, 0));
    in = (struct iovec){buf, sizeof buf};
    memset(&from, 0, sizeof from);
    m = (struct msghdr){.msg_iov = &in, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof from};
    T(recvmsg(b, &m, 0));
    show_name("from", &from, m.msg_namelen);
    for (int i = 0; i < 2; i++)
        mm[i].msg_hdr =
            (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1, .msg_name = &to, .msg_namelen = sizeof to};
    T(sendmmsg(a, mm, 2, 0));
    for (int i = 0; i < 2; i++) {
        static struct iovec v[2];

        v[i] = (struct iovec){two[i], sizeof two[i]};
        mm[i].msg_hdr = (struct msghdr){
            .msg_iov = &v[i], .msg_iovlen = 1, .msg_name = &who[i], .msg_namelen = sizeof who[i]};
    }
    T(recvmmsg(b, mm, 2, 0, NULL));
    show_name("first", &who[0], mm[0].msg_hdr.msg_namelen);
    show_name("second", &who[1], mm[1].msg_hdr.msg_namelen);
    T(sendto(a, "x", 1, 0, A(P("none")), sizeof un));
    T(sendto(a, "x", 1, 0, A(P("file")), sizeof un));
    T(close(b));
    T(sendto(a, "x", 1, 0, A(P("b")), sizeof un));
    T(unlink(P("b")));
    T(unlink(P("a")));
    T(close(a));
}

static void
calls(void *arg)
{
    char buf[32] = "";
    int c = sock(SOCK_STREAM);

    if (connect(c, A(arg), sizeof un) != 0 || write(c, "hello", 5) != 5 || read(c, buf, sizeof buf) != 7)
        _exit(1);
    trace("told %s", buf);
}

// Other processes; the socket outlives its maker's exec and its name's.
static void
processes(void)
{
    int s = sock(SOCK_STREAM), d;
    char buf[32] = "";
    pid_t pid;

    T(bind(s, A("served"), sizeof un));
    T(listen(s, 1));
    pid = begin_child(calls, (void *)"served");
    T((d = accept(s, NULL, NULL)));
    T(read(d, buf, sizeof buf));
    show_both("server", d);
    T(unlink("served"));
    show_both("no name any more", d);
    if (write(d, "and you", 7) != 7)
        trace("no answer");
    await_child("client", pid);
    T(close(d));
    T(close(s));
    T(unlink("relative"));
}

void
family_sockets(void)
{
    streams();
    long_names();
    datagrams();
    processes();
}
