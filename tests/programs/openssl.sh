#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# openssl: large files enciphered, deciphered, digested and signed; and `openssl speed` must run to its end.
# deadline: 600

work() {
    set -e
    local c
    for c in aes-256-ctr aes-128-cbc chacha20; do
        openssl enc "-$c" -K "$(printf '%064x' 5 | head -c 64)" -iv "$(printf '%032x' 9)" -nosalt -in "$DATA/big" -out "$c.enc" 2>/dev/null ||
            openssl enc "-$c" -K "$(printf '%032x' 5)" -iv "$(printf '%032x' 9)" -nosalt -in "$DATA/big" -out "$c.enc"
        sha256sum "$c.enc"
        openssl enc -d "-$c" -K "$(printf '%064x' 5 | head -c 64)" -iv "$(printf '%032x' 9)" -nosalt -in "$c.enc" 2>/dev/null | cmp - "$DATA/big" ||
            openssl enc -d "-$c" -K "$(printf '%032x' 5)" -iv "$(printf '%032x' 9)" -nosalt -in "$c.enc" | cmp - "$DATA/big"
    done
    for c in sha256 sha512 md5 sha3-256 blake2b512; do openssl dgst "-$c" -r <"$DATA/big"; done
    openssl base64 -in "$DATA/big" | openssl base64 -d | cmp - "$DATA/big"
    openssl genpkey -algorithm ed25519 -out key.pem
    openssl pkey -in key.pem -pubout -out pub.pem
    openssl pkeyutl -sign -inkey key.pem -rawin -in "$DATA/small" -out sig
    openssl pkeyutl -verify -pubin -inkey pub.pem -rawin -in "$DATA/small" -sigfile sig
    openssl speed -seconds 1 -bytes 262144 -evp aes-128-ctr >speed.txt 2>&1
    openssl speed -seconds 1 -bytes 65536 -multi 2 -evp sha256 >>speed.txt 2>&1
    grep -ciE 'error|fault|abort' speed.txt || echo "speed: no errors"
}

if [ "${1:-}" = work ]; then work; exit; fi
. "$(dirname "$0")/../lib.sh"
need openssl
mkdir -p "$TMP/data"
noise 9 $((32 << 20)) >"$TMP/data/big"
noise 10 300000 >"$TMP/data/small"
each_cell 60
finish
