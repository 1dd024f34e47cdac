"""The issuing CA over HTTP for `bench.issue_http`: its certificate endpoints in the web assembly of the product.

    python -m bench.issue_server FOLDER DATABASE-URL SOCKET NUMBER

FOLDER/ready-NUMBER.json says where it listens. Number 0 makes the tables and the CA; the others find them. Who asks is
known by a word that is held in memory: what a credential costs is not measured here.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path

from bench.issue import USER_PIN, authority, service
from camtrust.server import listening, rarely_collect
from camtrust.web.app import WebSettings, create_app
from foundation.http.actor import Actor, ActorKind, Credential, Unauthenticated
from foundation.http.guard import Guard
from hsm_emulation.client import HsmClient
from issuing_ca.ra.certificates_api import create_router

OFFICER = Actor(ActorKind.OFFICER, "bench", frozenset({"ca-issue"}))
AUTHORIZATION = "Authorization: Bench known"


class Known:
    """Implements `foundation.http.actor.Authenticator`."""

    def authenticate(self, credential: Credential) -> Actor:
        if credential.authorization != AUTHORIZATION.partition(": ")[2]:
            raise Unauthenticated
        return OFFICER


def main() -> None:
    folder, url, socket, number = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4]
    with ExitStack() as stack:
        client = HsmClient(socket)
        client.login(USER_PIN)
        ca = (authority if number == "0" else service)(client, folder, url, log=True)
        settings = WebSettings(public_url="http://127.0.0.1", version="0")
        app = create_app(settings, routers=[create_router(ca, Guard(Known(), settings.public_url))])
        rarely_collect()
        server = stack.enter_context(listening(app))
        part = folder / f"ready-{number}.part"
        part.write_text(json.dumps({"port": server.port}), encoding="utf-8")
        part.rename(folder / f"ready-{number}.json")
        sys.stdin.read()


if __name__ == "__main__":
    main()
