"""Runs a program in a process forked from the warm server, as if it were this one.

Called as `client.py SOCKET -c CODE ...` or `client.py SOCKET -m MODULE ...`.

Its streams, folder, environment and arguments are this process's, and so is the way it ends.
"""

import json
import os
import socket
import sys


def main() -> None:
    """Hand the program on and end as it ends."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(sys.argv[1])
        asked = {
            "argv": sys.argv[2:],
            "folder": os.getcwd(),  # noqa: PTH109 - pathlib takes as long to import as all else
            "environment": dict(os.environ),
        }
        socket.send_fds(server, [b"!"], [0, 1, 2])
        server.sendall(json.dumps(asked).encode())
        server.shutdown(socket.SHUT_WR)
        code = int(server.makefile().read())
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)


main()
