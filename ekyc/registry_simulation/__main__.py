"""``python -m ekyc.registry_simulation --port 0``: serve on the loopback interface; the first line out is the port."""

from __future__ import annotations

import argparse
import socket
import sys
from threading import Thread

import uvicorn

from ekyc.registry_simulation.app import create_app


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="ekyc.registry_simulation", description="simulated base registry (specimens)")
    parser.add_argument("--port", type=int, default=0, help="0: any free port, which is printed")
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input closes")
    options = parser.parse_args()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.port))
    server = uvicorn.Server(uvicorn.Config(create_app(), log_level="warning", access_log=False, server_header=False))
    if options.with_parent:
        Thread(target=_stop_with_parent, args=(server,), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    server.run(sockets=[listener])


def _stop_with_parent(server: uvicorn.Server) -> None:
    while sys.stdin.buffer.read(1):
        pass
    server.should_exit = True


if __name__ == "__main__":
    main()
