# SPDX-License-Identifier: Apache-2.0
# A scripted workload for redis-server: every reply is checked against a model in this process, which runs plain.
# usage: redis_work.py fill|verify PORT SEED     both end with one line, `DIGEST BYTES REPLIES` on success
import hashlib
import random
import socket
import sys

SIZES = [1, 2, 63, 64, 1000, 4095, 4096, 4097, 16383, 32768, 32769, 65535, 65536, 100_000, 262_144, 524_288, 524_289,
         1_048_576, 2_097_152, 3_000_001, 4_194_304]


class Client:
    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.sock.makefile("rb", buffering=1 << 20)
        self.replies = 0
        self.bytes = 0

    def send(self, *args):
        parts = [b"*%d\r\n" % len(args)]
        for arg in args:
            arg = arg if isinstance(arg, bytes) else str(arg).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
        data = b"".join(parts)
        self.bytes += len(data)
        self.sock.sendall(data)

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise SystemExit("the server closed the connection")
        self.replies += 1
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            if size < 0:
                return None
            data = self.file.read(size + 2)
            self.bytes += size
            return data[:-2]
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        raise SystemExit(f"the server says {line[:200]!r}")

    def __call__(self, *args):
        self.send(*args)
        return self.reply()


def expect(what, got, wanted):
    if got != wanted:
        at = next((i for i, (a, b) in enumerate(zip(got or b"", wanted or b"")) if a != b), None) \
            if isinstance(got, bytes) and isinstance(wanted, bytes) else None
        raise SystemExit(f"{what}: wrong reply; first difference at {at}, "
                         f"{len(got) if isinstance(got, bytes) else got!r} for "
                         f"{len(wanted) if isinstance(wanted, bytes) else wanted!r}")


def check_all(redis, strings, lists):
    for key in sorted(strings):
        expect(f"GET {key}", redis("GET", key), bytes(strings[key]))
    for key in sorted(lists):
        expect(f"LRANGE {key}", redis("LRANGE", key, 0, -1), lists[key])


def change(redis, rng, strings, lists, noise):
    def body():
        size = rng.choice(SIZES)
        start = rng.randrange(len(noise) - size)
        return noise[start:start + size]

    key = f"k{rng.randrange(40)}"
    what = rng.choice(["set", "set", "get", "get", "append", "setrange", "getrange", "push", "pop", "pipeline", "del",
                       "copy", "getset", "mset"])
    value = strings.get(key)
    if what == "set":
        strings[key] = bytearray(body())
        expect("SET", redis("SET", key, bytes(strings[key])), b"OK")
    elif what == "get":
        expect(f"GET {key}", redis("GET", key), bytes(value) if value is not None else None)
    elif what == "append" and (value is None or len(value) < 8 << 20):
        more = body()
        strings.setdefault(key, bytearray()).extend(more)
        expect("APPEND", redis("APPEND", key, more), len(strings[key]))
    elif what == "setrange" and value:
        more = body()[:1 << 20]
        at = rng.randrange(len(value))
        value[at:at + len(more)] = more
        expect("SETRANGE", redis("SETRANGE", key, at, more), len(value))
    elif what == "getrange" and value:
        a, b = sorted((rng.randrange(len(value)), rng.randrange(len(value))))
        expect("GETRANGE", redis("GETRANGE", key, a, b), bytes(value[a:b + 1]))
    elif what == "push":
        items = lists.setdefault(f"l{key}", [])
        if len(items) < 6:
            items.insert(0, body())
            expect("LPUSH", redis("LPUSH", f"l{key}", items[0]), len(items))
    elif what == "pop" and lists.get(f"l{key}"):
        expect("RPOP", redis("RPOP", f"l{key}"), lists[f"l{key}"].pop())
        if not lists[f"l{key}"]:
            del lists[f"l{key}"]
    elif what == "pipeline":
        # Many commands in flight: the replies queue up in the server's output buffers.
        keys = rng.sample(sorted(strings), min(6, len(strings)))
        for k in keys:
            redis.send("GET", k)
            redis.send("STRLEN", k)
        for k in keys:
            expect(f"pipelined GET {k}", redis.reply(), bytes(strings[k]))
            expect(f"pipelined STRLEN {k}", redis.reply(), len(strings[k]))
    elif what == "del":
        expect("DEL", redis("DEL", key), 1 if strings.pop(key, None) is not None else 0)
    elif what == "copy" and value is not None:
        strings[f"c{key}"] = bytearray(value)
        expect("COPY", redis("COPY", key, f"c{key}", "REPLACE"), 1)
    elif what == "getset":
        new = bytearray(body())
        expect("GETSET", redis("GETSET", key, bytes(new)), bytes(value) if value is not None else None)
        strings[key] = new
    elif what == "mset":
        a, b = body(), body()
        strings[f"m{key}"], strings[key] = bytearray(a), bytearray(b)
        expect("MSET", redis("MSET", f"m{key}", a, key, b), b"OK")


def main():
    port, seed = int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(seed)
    noise = rng.randbytes(12 << 20)
    redis = Client(port)
    strings, lists = {}, {}
    if sys.argv[1] == "fill":
        for _ in range(900):
            change(redis, rng, strings, lists, noise)
        check_all(redis, strings, lists)
    else:
        expect("PING", redis("PING", noise[:3_000_000]), noise[:3_000_000])
    print(redis("DEBUG", "DIGEST").decode(), redis("DBSIZE"))
    print(f"{redis.replies} replies, {redis.bytes} bytes", file=sys.stderr)


main()
