"""Runs a command in a terminal of its own, closes the terminal once the command says that it serves, and prints what
became of the command's process."""

import os, pty, sys, time

child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
said = b""
while b"Countersign serves" not in said:
    said += os.read(terminal, 4096)
os.close(terminal)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status))
