# SPDX-License-Identifier: Apache-2.0
# paths_tty.py PROGRAM...: runs it on a terminal of its own (forkpty), types a line, and prints what it said and its
# status.
import os
import pty
import sys

pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
os.write(fd, b"typed\n")
said = b""
try:
    while True:
        piece = os.read(fd, 1000)
        if not piece:
            break
        said += piece
except OSError:
    pass  # the other side is closed
said = said.replace(b"typed\r\n", b"", 1)  # the echo, before or after the program's first line
print(said, os.waitpid(pid, 0)[1])
