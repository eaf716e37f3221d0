// SPDX-License-Identifier: Apache-2.0
// How a program's library asks the sockmap programs about a socket: getsockopt(2) with this level and name,
// which no protocol has. Plain numbers only: BPF programs include this, too.
#ifndef ZIO_COMMON_SOCKMAP_H
#define ZIO_COMMON_SOCKMAP_H

#define ZSM_LEVEL 0x7a696f
#define ZSM_JOINED 1
// The answer, an int. Without it (ENOPROTOOPT), the socket never was joined.
#define ZSM_WAS 1 // has left: an ordinary socket
#define ZSM_IS 2

#define ZSM_INQ 2 // the answer is what FIONREAD ought to say

// Set for programs under `zio run --sockmap`.
#define ZSM_ENV "ZIO_SOCKMAP"

#endif
