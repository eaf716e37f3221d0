#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# sqlite3: large and small blobs, indexes, updates, roll-backs, WAL, memory mapping, vacuum, backup and integrity checks.
# deadline: 600

work() {
    set -e
    local mode
    for mode in delete wal memory; do
        rm -f ./*.db*
        sqlite3 -batch -bail main.db <<SQL
.output /dev/null
PRAGMA journal_mode=$mode;
PRAGMA page_size=$([ $mode = wal ] && echo 65536 || echo 4096);
PRAGMA cache_size=-4000;
PRAGMA mmap_size=$([ $mode = delete ] && echo 0 || echo 67108864);
.output stdout
CREATE TABLE t(id INTEGER PRIMARY KEY, size INTEGER, body BLOB, tag TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)
  INSERT INTO t SELECT i, i * i * 11, substr(readfile('$DATA/noise'), i * 97, i * i * 11), printf('%.*c', i % 4000, 'a' || i) FROM n;
INSERT INTO t SELECT 1000, 5242880, zeroblob(5242880), 'zeros';
INSERT INTO t SELECT 1003, 3145728, readfile('$DATA/noise'), 'noise';
INSERT INTO t SELECT 1002, 0, CAST(hex(substr(body, 1, 1000000)) AS BLOB), 'hex' FROM t WHERE id = 1003;
CREATE INDEX by_size ON t(size);
CREATE UNIQUE INDEX by_body ON t(substr(body, 1, 9000), id);
SELECT count(*), sum(length(body)), sum(size) FROM t;
BEGIN;
UPDATE t SET body = body || body WHERE id % 7 = 0;
DELETE FROM t WHERE id % 11 = 0;
SAVEPOINT s;
UPDATE t SET body = zeroblob(length(body));
ROLLBACK TO s;
COMMIT;
BEGIN;
UPDATE t SET tag = body WHERE id > 120;
ROLLBACK;
UPDATE t SET body = replace(body, x'00', x'0102') WHERE id BETWEEN 130 AND 140;
SELECT id, length(body), hex(substr(body, length(body) / 2, 16)) FROM t WHERE id % 13 = 0;
SELECT count(*), sum(length(group_tags)) FROM (SELECT size % 10, group_concat(tag) AS group_tags FROM t GROUP BY 1 ORDER BY 1);
PRAGMA integrity_check;
CREATE TABLE u AS SELECT a.id, b.body FROM t a JOIN t b ON b.id = a.id + 1 ORDER BY a.size DESC;
SELECT count(*), sum(length(body)) FROM u;
DROP TABLE u;
VACUUM;
PRAGMA integrity_check;
PRAGMA foreign_key_check;
.backup copy.db
SELECT writefile('out.bin', body) FROM t WHERE id = 1003;
SQL
        echo "exit $?"
        cmp out.bin "$DATA/noise"
        sqlite3 main.db .dump | sha256sum
        sqlite3 copy.db .dump | sha256sum
        sqlite3 copy.db 'PRAGMA quick_check'
        sqlite3 main.db .dump | sqlite3 again.db
        sqlite3 again.db .dump | sha256sum
        sqlite3 again.db 'SELECT hex(body) FROM t WHERE id IN (7, 14, 1003)' | sha256sum
        sqlite3 again.db 'SELECT nothing FROM t' 2>&1 || echo "exit $?"
    done
}

if [ "${1:-}" = work ]; then work; exit; fi
. "$(dirname "$0")/../lib.sh"
need sqlite3 openssl
mkdir -p "$TMP/data"
noise 12 $((3 << 20)) >"$TMP/data/noise"
PROVE=1
each_cell 60
finish
