"""Runs a program in a terminal of its own, until it ends; what it draws is printed if it fails."""

import os
import pty
import select
import sys
import time

SECONDS_MAX = 60

child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
drawn = b""
until = time.monotonic() + SECONDS_MAX
while time.monotonic() < until:
    if not select.select([terminal], [], [], 1)[0]:
        continue
    try:
        piece = os.read(terminal, 65536)
    except OSError:  # how Linux tells that the other end is closed
        break
    if not piece:
        break
    drawn += piece
else:
    os.kill(child, 9)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
if status != 0:
    raise SystemExit(f"{sys.argv[1]} ended with {status}: {drawn[-2000:]!r}")
