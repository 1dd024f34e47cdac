"""The server that `bench.status` measures: OCSP and timestamps of a CA of this run, one worker, the whole web stack.

    python -m bench.status_server FOLDER memory|token

It writes the port and a request of each kind into FOLDER/ready.json, and ends with its standard input.
"""

from __future__ import annotations

import base64
import json
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from bench.issue import SO_PIN, USER_PIN, authority, request
from bench.memory_keys import MemoryKeys
from camtrust.server import listening, rarely_collect
from camtrust.web.app import WebSettings, create_app
from camtrust.web.raw import Raw
from foundation.clock import SystemClock
from foundation.x509 import der
from hsm_emulation.client import HsmClient
from hsm_emulation.process import KeyDaemon, initialise
from issuing_ca.asgi import OcspEndpoint, TimestampEndpoint
from issuing_ca.ports import AttestedKeys
from issuing_ca.service import CertificateAuthority
from issuing_ca.timestamp_message import message_imprint

CERTIFICATES = 64


def main() -> None:
    folder, where = Path(sys.argv[1]), sys.argv[2]
    with ExitStack() as stack:
        keys: AttestedKeys = MemoryKeys() if where == "memory" else _token(folder, stack)
        ca = authority(keys, folder)
        app = create_app(
            WebSettings(public_url="http://127.0.0.1", version="0"),
            routers=[],
            raw=[
                Raw("/ocsp", OcspEndpoint(ca.kept_ocsp, SystemClock()), hot=True),
                Raw("/tsa", TimestampEndpoint(ca.timestamps), hot=True),
            ],
        )
        asked = _requests(ca)
        rarely_collect()  # as a server of ours does
        server = stack.enter_context(listening(app))
        part = folder / "ready.part"
        part.write_text(json.dumps({"port": server.port, **asked}), encoding="utf-8")
        part.rename(folder / "ready.json")
        sys.stdin.read()


def _token(folder: Path, stack: ExitStack) -> AttestedKeys:
    initialise(folder / "hsm", SO_PIN, USER_PIN)
    client = HsmClient(stack.enter_context(KeyDaemon.start(folder / "hsm")).socket_path)
    client.login(USER_PIN)
    return client


def _requests(ca: CertificateAuthority) -> dict[str, list[str]]:
    """Requests in base64: OCSP without and with a nonce, timestamps; and responses that can be files."""
    issuer = ca.authorities.get("issuing").certificate
    plain, nonced, responses = [], [], []
    for number in range(CERTIFICATES):
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        issued = ca.issue_now(request(number, key)).certificate
        builder = ocsp.OCSPRequestBuilder().add_certificate(issued, issuer, hashes.SHA1())  # noqa: S303
        plain.append(builder.build().public_bytes(Encoding.DER))
        nonce = x509.OCSPNonce(number.to_bytes(16, "big"))
        nonced.append(builder.add_extension(nonce, False).build().public_bytes(Encoding.DER))
        responses.append(ca.kept_ocsp.answer(plain[-1]).response)
    stamps = [
        der.sequence((der.integer(1), message_imprint(bytes([number]) * 32, "sha256"), der.integer(number)))
        for number in range(CERTIFICATES)
    ]
    lists = {"plain": plain, "nonced": nonced, "responses": responses, "stamps": stamps}
    return {name: [base64.b64encode(one).decode() for one in values] for name, values in lists.items()}


if __name__ == "__main__":
    threading.current_thread().name = "bench"
    main()
