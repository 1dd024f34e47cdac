"""A CA with its issuance log, and the log served on loopback."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import FastAPI

from foundation.http.problems import install
from foundation.log_proof import EntryKind
from foundation.randomness import Randomness, SystemRandomness
from issuing_ca.log import IssuanceLog, log_origin
from issuing_ca.log_api import create_log_router
from issuing_ca.service import CertificateAuthority
from tests.ca.ca_world import World

ORIGIN = log_origin("https://ca.specimen.example/")


@dataclass
class LogWorld:
    """The CA's world, whose CA writes into the log."""

    world: World
    log: IssuanceLog

    def again(self, randomness: Randomness | None = None) -> IssuanceLog:
        """The log as another process would see it."""
        world = self.world
        return IssuanceLog(world.database, world.keys, world.clock, randomness or SystemRandomness(), ORIGIN)

    def record(self, count: int) -> list[bytes]:
        """Entries about nothing real; gives their digests."""
        digests = [os.urandom(32) for _ in range(count)]
        with self.world.database.unit_of_work() as connection:
            for digest in digests:
                self.log.record(connection, EntryKind.CERTIFICATE, digest, "SPECIMEN")
        return digests


def with_log(world: World) -> LogWorld:
    """The same world with a CA that logs."""
    made = LogWorld(world, IssuanceLog(world.database, world.keys, world.clock, SystemRandomness(), ORIGIN))
    world.ca = CertificateAuthority(
        world.database, world.keys, world.clock, SystemRandomness(), world.audit, world.ca.settings, log=made.log
    )
    return made


@contextmanager
def log_served(log: IssuanceLog) -> Iterator[str]:
    """The log's endpoints on a free loopback port, by a real server; gives the address."""
    import uvicorn

    app = FastAPI()
    install(app)
    app.include_router(create_log_router(log))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none", http="h11"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
