"""EST and CMP by a real server on a loopback port, with machines that an officer has verified."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from fastapi import APIRouter, FastAPI

import issuing_ca.cmp.store
import issuing_ca.enrolment.store
from foundation.clock import SetClock, SystemClock
from foundation.db.engine import Database
from foundation.http.guard import Guard
from foundation.http.problems import install
from foundation.randomness import SystemRandomness
from foundation.vault import Vault
from issuing_ca.enrolment.api import create_router as create_credential_router
from issuing_ca.enrolment.model import NewEnrolmentCredential
from issuing_ca.enrolment.service import Enrolment
from tests import programs
from tests.ca.ca_world import OPERATOR, World, make_world
from tests.ca.named_actors import NamedActors

NAME = "gate.ministry.example"
SUBJECT = (("C", "KH"), ("O", "SPECIMEN Ministry"), ("CN", NAME))


@dataclass
class EnrolmentWorld:
    """Everything that a test of these doors touches."""

    world: World
    service: Enrolment
    url: str
    http: httpx2.Client
    folder: Path

    def credential(self, profile: str = "tls-server", **values: Any) -> NewEnrolmentCredential:
        given = {"subject": SUBJECT, "names": (NAME,), "owner": "organisation:specimen"} | values
        return self.service.new_credential(profile, actor=OPERATOR, **given)

    def key(self, name: str, *options: str) -> Path:
        """A private key by openssl."""
        file = self.folder / f"{name}.key"
        programs.run("openssl", "genpkey", *(options or ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")),
                     "-out", file)  # fmt: skip
        return file

    def csr(self, key: Path, subject: str = f"/C=KH/O=SPECIMEN Ministry/CN={NAME}", *names: str) -> Path:
        """A PKCS#10 request by openssl, DER."""
        file = self.folder / f"{key.stem}.csr"
        san = ("-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)) if names else ()
        programs.run("openssl", "req", "-new", "-key", key, "-subj", subject, *san, "-outform", "DER", "-out", file)
        return file


Doors = Callable[[Enrolment], list[APIRouter]]


@contextmanager
def enrolment_world(database: Database, token: Any, folder: Path, doors: Doors) -> Iterator[EnrolmentWorld]:
    """The doors, open on a free loopback port, at the real time, which real clients live by."""
    clock = SetClock(SystemClock().now().replace(microsecond=0))
    world = make_world(database, clock, token, folder)
    issuing_ca.enrolment.store.metadata.create_all(database.engine)
    issuing_ca.cmp.store.metadata.create_all(database.engine)
    service = Enrolment(world.ca, database, Vault(token), clock, SystemRandomness(), world.audit)
    app = FastAPI()
    install(app)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    for router in [*doors(service), create_credential_router(service, Guard(NamedActors(), url))]:
        app.include_router(router)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none", http="h11"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        with httpx2.Client(base_url=url, timeout=60, trust_env=False) as http:
            yield EnrolmentWorld(world, service, url, http, folder)
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
