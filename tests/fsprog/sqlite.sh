#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# sqlite3 with its database in a volume: each journal mode, processes that write at once, kill -9 and recovery.
# deadline: 300

# fill DB MODE
fill() {
    sqlite3 -batch -bail "$1" <<END
PRAGMA page_size=4096;
PRAGMA journal_mode=$2;
PRAGMA synchronous=FULL;
PRAGMA mmap_size=$([ "$2" = truncate ] && echo 16777216 || echo 0);
CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT, tag TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
  INSERT INTO t SELECT i, printf('%.*c', i % 700, 'a'), i * i % 97 FROM n;
CREATE INDEX by_tag ON t(tag, id);
BEGIN; UPDATE t SET body = body || id WHERE id % 7 = 0; DELETE FROM t WHERE id % 11 = 0; COMMIT;
PRAGMA cache_size=10;
BEGIN; UPDATE t SET body = 'lost'; ROLLBACK;
SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; RELEASE s;
PRAGMA integrity_check;
SELECT count(*), sum(length(body)) FROM t;
END
}

# writer DB NAME: a transaction for each row. Busy is waited for; anything else is told.
writer() {
    local i
    for i in $(seq 1 25); do
        echo "BEGIN IMMEDIATE; INSERT INTO t(body, tag) VALUES ('$i', '$2'); UPDATE total SET n = n + 1; COMMIT;"
    done | sqlite3 -batch -bail -cmd '.timeout 30000' "$1" || echo "writer $2 failed"
}

# killed DB: a writer that dies in the middle of a transaction whose pages have been written already.
killed() {
    coproc sqlite3 -batch "$1"
    printf '%s\n' 'PRAGMA cache_size=5;' "BEGIN; UPDATE t SET body = 'half';" "SELECT 'written';" >&"${COPROC[1]}"
    local line pid=$COPROC_PID
    read -r line <&"${COPROC[0]}"
    echo "$line"
    ls "$1"*
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null || :
}

work() {
    set -e
    local mode name
    for mode in delete wal truncate persist; do
        fill $mode.db $mode
        sqlite3 $mode.db 'CREATE TABLE total(n); INSERT INTO total VALUES (0);'
        for name in one two; do writer $mode.db $name & done
        wait
        sqlite3 $mode.db 'SELECT tag, count(*) FROM t WHERE id > 3000 GROUP BY tag; SELECT * FROM total; PRAGMA integrity_check'
        killed $mode.db
        sqlite3 $mode.db "SELECT count(*) FROM t WHERE body = 'half'; PRAGMA integrity_check"
        # Whose row is which the processes settle among themselves.
        sqlite3 $mode.db "UPDATE t SET id = -id WHERE id > 3000; UPDATE t SET tag = 'w', body = 'w' WHERE id < 0; PRAGMA journal_mode"
        sqlite3 $mode.db .dump | sha256sum
        sqlite3 $mode.db "VACUUM INTO 'copy.db'"
        sqlite3 copy.db .dump | sha256sum
        sqlite3 $mode.db '.backup back.db'
        sqlite3 back.db 'PRAGMA integrity_check'
        rm copy.db back.db
        ls
    done
    sqlite3 wal.db "ATTACH 'delete.db' AS d; BEGIN; DELETE FROM d.t; DELETE FROM t; COMMIT; VACUUM; SELECT count(*) FROM d.t"
    ls
}

if [ "${1:-}" = work ]; then work; exit; fi
. "$(dirname "$0")/lib.sh"
need sqlite3
three_ways 60
finish
