# SPDX-License-Identifier: Apache-2.0
# What python3 does with files: os, shutil, tempfile, glob, pathlib, subprocess, sqlite3. Run in an empty directory, which
# is the argument; what it prints must be the same on a disk and on a routed volume.
import os, sys, shutil, tempfile, glob, pathlib, stat, subprocess, zipfile, json, filecmp, mmap
root = sys.argv[1]
os.chdir(root)
def t(name, fn):
    try:
        r = fn()
    except Exception as e:
        r = "%s %s" % (type(e).__name__, getattr(e, "errno", e))
    print(name, r)
os.makedirs("a/b/c"); os.mkdir("d")
with open("a/f", "w") as f: f.write("hello\n" * 100)
with open("a/f", "a") as f: f.write("end\n"); t("tell", f.tell)
with open("a/f", "r+b") as f: f.seek(10); f.write(b"XYZ"); f.flush(); t("size", lambda: os.fstat(f.fileno()).st_size); f.truncate(50)
with open("a/f", "rb", buffering=0) as f: t("read", lambda: f.read(20)); t("readall", lambda: len(f.readall()))
t("open x", lambda: open("a/f", "x"))
t("listdir", lambda: sorted(os.listdir("a")))
t("scandir", lambda: sorted((e.name, e.is_dir(), e.is_symlink(), e.stat().st_size if e.is_file() else 0) for e in os.scandir("a")))
os.symlink("f", "a/l"); os.link("a/f", "a/h"); os.mkfifo("a/p")
t("readlink", lambda: os.readlink("a/l"))
t("walk", lambda: [(p, sorted(d), sorted(f)) for p, d, f in sorted(os.walk("."))])
t("fwalk", lambda: [(p, sorted(d), sorted(f)) for p, d, f, fd in sorted(os.fwalk("."), key=lambda x: x[0])])
t("copytree", lambda: shutil.copytree("a", "copy", symlinks=True, ignore=shutil.ignore_patterns("p")))
t("dircmp", lambda: (filecmp.dircmp("a", "copy").diff_files, filecmp.dircmp("a", "copy").left_only))
t("copy2", lambda: shutil.copy2("a/f", "a/f2"))
t("move", lambda: shutil.move("a/f2", "d"))
t("rmtree", lambda: shutil.rmtree("copy"))
t("archive", lambda: os.path.basename(shutil.make_archive("arch", "gztar", ".", "d")))
t("unpack", lambda: shutil.unpack_archive("arch.tar.gz", "un"))
t("un", lambda: sorted(os.listdir("un/d")))
t("disk_usage", lambda: shutil.disk_usage(".").total > 0)
t("which", lambda: shutil.which("sh") is not None)
t("glob", lambda: sorted(glob.glob("**/*", recursive=True)))
t("rglob", lambda: sorted(str(p) for p in pathlib.Path(".").rglob("*f*")))
t("resolve", lambda: str(pathlib.Path("a/l").resolve()))
t("mkstemp", lambda: (lambda x: (os.close(x[0]), os.unlink(x[1])))(tempfile.mkstemp(dir=".")))
with tempfile.TemporaryDirectory(dir=".") as d: open(d + "/x", "w").close(); t("tempdir", lambda: os.listdir(d))
with tempfile.NamedTemporaryFile(dir=".") as f: f.write(b"z" * 5000); f.flush(); t("named", lambda: os.stat(f.name).st_size)
with tempfile.TemporaryFile(dir=".") as f: f.write(b"abc"); f.seek(0); t("temp", f.read)
with tempfile.SpooledTemporaryFile(max_size=10, dir=".") as f: f.write(b"a" * 100); f.seek(0); t("spooled", lambda: len(f.read()))
for call in ["stat", "lstat", "listdir", "readlink", "rmdir", "unlink", "chdir", "mkdir", "access"]:
    for arg in ["none", "a/f", "a", "", "a/f/x", "a/l"]:
        if call in ("rmdir", "unlink") and arg in ("a/f", "a/l"): continue
        def go():
            f = getattr(os, call)
            r = f(arg, os.R_OK) if call == "access" else f(arg)
            if call == "chdir": os.chdir(root)
            return r.st_mode if hasattr(r, "st_mode") else sorted(r) if isinstance(r, list) else r
        t("%s %r" % (call, arg), go)
t("chmod", lambda: os.chmod("a/f", 0o604)); t("mode", lambda: oct(os.stat("a/f").st_mode))
t("utime", lambda: os.utime("a/f", ns=(1234567890123456789, 987654321987654321))); t("times", lambda: (os.stat("a/f").st_atime_ns, os.stat("a/f").st_mtime_ns))
t("xattr", lambda: (os.setxattr("a/f", "user.x", b"v"), os.getxattr("a/f", "user.x"), os.listxattr("a/f"), os.removexattr("a/f", "user.x")))
t("rename", lambda: os.rename("a/h", "d/h")); t("replace", lambda: os.replace("d/h", "a/f")); t("nlink", lambda: os.stat("a/f").st_nlink)
t("renames", lambda: os.renames("d/f2", "e/f/g"))
t("removedirs", lambda: (os.makedirs("q/r/s"), os.removedirs("q/r/s"), os.path.exists("q")))
t("truncate", lambda: os.truncate("a/f", 7)); t("getsize", lambda: os.path.getsize("a/f"))
t("statvfs", lambda: os.statvfs(".").f_namemax); t("pathconf", lambda: os.pathconf(".", "PC_NAME_MAX"))
t("getcwd", os.getcwd); os.chdir("a/b"); t("getcwd2", os.getcwd); t("abspath", lambda: os.path.abspath("../f")); os.chdir(root)
fd = os.open("a", os.O_RDONLY); t("dir_fd", lambda: os.stat("f", dir_fd=fd).st_size); t("listfd", lambda: sorted(os.listdir(fd))); t("fchdir", lambda: (os.fchdir(fd), os.getcwd())); os.chdir(root)
t("openat", lambda: os.read(os.open("f", os.O_RDONLY, dir_fd=fd), 5)); t("unlinkat", lambda: os.unlink("p", dir_fd=fd)); t("mkdirat", lambda: os.mkdir("new", dir_fd=fd)); os.close(fd)
t("sub", lambda: subprocess.run(["cat"], stdin=open("a/f"), capture_output=True).stdout)
with open("out", "w") as f: t("subout", lambda: subprocess.run("echo sub; echo err >&2; pwd", shell=True, stdout=f, stderr=subprocess.STDOUT, cwd="a").returncode)
t("out", lambda: open("out").read())
t("popen", lambda: os.popen("cat a/f; ls a").read()); t("system", lambda: os.system("echo system > sys; test -s sys"))
t("zip", lambda: zipfile.ZipFile("z.zip", "w").write("out")); t("json", lambda: json.dump({"a": [1, 2]}, open("j", "w"))); t("json2", lambda: json.load(open("j")))
with open("mm", "w+b") as f:
    f.write(b"0123456789" * 1000); f.flush()
    with mmap.mmap(f.fileno(), 0) as m: t("mmap", lambda: m[5:15]); m[0:3] = b"abc"; m.flush()
    t("mmread", lambda: (f.seek(0), f.read(5)))
    t("sendfile", lambda: os.sendfile(os.open("sf", os.O_WRONLY | os.O_CREAT), f.fileno(), 0, 5000))
t("cfr", lambda: os.copy_file_range(os.open("mm", os.O_RDONLY), os.open("mm2", os.O_RDWR | os.O_CREAT), 3000))
t("pread", lambda: os.pread(os.open("mm", os.O_RDONLY), 4, 8)); t("writev", lambda: os.writev(os.open("wv", os.O_RDWR | os.O_CREAT), [b"a", b"bc"]))
t("import", lambda: (open("mod.py", "w").write("x = 5\n"), sys.path.insert(0, root), __import__("mod").x, sorted(os.listdir("__pycache__"))[0][:4]))
t("realpath", lambda: os.path.realpath("a/l")); t("samefile", lambda: os.path.samefile("a/l", "a/f")); t("ismount", lambda: os.path.ismount("a"))
t("text", lambda: open("utf", "w", encoding="utf-8").write("grüße\n€")); t("lines", lambda: list(open("utf", encoding="utf-8"))); t("devfd", lambda: open("/dev/fd/%d" % os.open("utf", os.O_RDONLY), "rb").read(3))
pid = os.fork()
if pid == 0:
    open("child", "w").write("c"); os._exit(4)
t("wait", lambda: os.WEXITSTATUS(os.waitpid(pid, 0)[1])); t("child", lambda: open("child").read())
import sqlite3
c = sqlite3.connect("db"); c.execute("create table t(x)"); c.executemany("insert into t values(?)", [(i,) for i in range(1000)]); c.commit(); t("sql", lambda: c.execute("select sum(x) from t").fetchone()); c.close()
c = sqlite3.connect("dbw"); t("wal", lambda: c.execute("pragma journal_mode=wal").fetchone()); c.execute("create table t(x)"); c.commit(); c.close()
import dbm.dumb; d = dbm.dumb.open("dd"); d["k"] = "v"; d.close(); t("dbm", lambda: dbm.dumb.open("dd")["k"])
import threading
def w(i):
    for k in range(30):
        with open("th%d" % i, "a") as f: f.write("%d\n" % k)
        os.listdir("."); os.stat("th%d" % i)
ts = [threading.Thread(target=w, args=(i,)) for i in range(4)]; [x.start() for x in ts]; [x.join() for x in ts]
t("threads", lambda: [os.path.getsize("th%d" % i) for i in range(4)])
t("end", lambda: sorted(os.listdir(".")))
print("last", file=open("last", "w"))
