# SPDX-License-Identifier: Apache-2.0
# Fetch URL paths over kept-alive connections, several at once, and compare with the files they stand for.
# usage: http_fetch.py PORT ROOT PREFIX...     for every file in ROOT and every PREFIX; prints `N fetched`
import http.client
import os
import sys
import threading

port, root, prefixes = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
names = sorted(os.listdir(root))
wrong = []
fetched = [0] * 4


def fetch(number):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for turn in range(3):
        for i, name in enumerate(names * len(prefixes)):
            if (i + turn) % 4 != number:
                continue
            prefix = prefixes[i // len(names)]
            with open(os.path.join(root, name), "rb") as file:
                wanted = file.read()
            headers = {}
            if turn == 2 and len(wanted) > 9000:
                wanted = wanted[5000:-3000]
                headers["Range"] = f"bytes=5000-{5000 + len(wanted) - 1}"
            connection.request("GET", f"{prefix}{name}", headers=headers)
            response = connection.getresponse()
            body = response.read()
            if response.status not in (200, 206) or body != wanted:
                wrong.append(f"{prefix}{name}: status {response.status}, {len(body)} bytes for {len(wanted)}")
            fetched[number] += 1


def guarded(number):
    try:
        fetch(number)
    except Exception as error:
        wrong.append(f"connection {number}: {error!r}")


threads = [threading.Thread(target=guarded, args=(n,)) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for line in wrong[:10]:
    print(line)
print(f"{sum(fetched)} fetched, {len(wrong)} wrong")
sys.exit(1 if wrong else 0)
