"""Witnesses of the issuance log: those that our log asks, and one of our own that other logs, or ours, may ask.

A witness that runs beside the log vouches for nothing: ``camtrust ca witness`` is for another machine, in a home and
with a token of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from camtrust.home import Home
from camtrust.settings import Settings
from foundation.clock import Clock
from foundation.db.engine import Database
from foundation.errors import CamTrustError
from foundation.keys.handles import public_key
from foundation.keys.port import KeyAlgorithm, KeyStore, KeyUse, Mechanism
from foundation.randomness import Randomness
from foundation.signed_note import NoteKey, SignatureType
from issuing_ca.log import IssuanceLog, name_of_log
from issuing_ca.witness import Witness
from issuing_ca.witness_request import MAX_REQUEST, WitnessAddress
from issuing_ca.witnessing import Witnessing

FOLDER = "log-witness"


def witnessed_log(
    settings: Settings, database: Database, keys: KeyStore, clock: Clock, randomness: Randomness
) -> tuple[IssuanceLog, Witnessing]:
    """The issuance log, and who asks its witnesses, as the settings say."""
    witnesses = [WitnessAddress.parse(one) for one in settings.log.witnesses]
    cosigners = [one.key for one in witnesses]
    origin = name_of_log(database, settings.public_url)
    log = IssuanceLog(database, keys, clock, randomness, origin, cosigners, settings.log.quorum)
    return log, Witnessing(log, database, clock, witnesses)


def own_witness(home: Home, keys: KeyStore, clock: Clock, name: str, logs: Sequence[NoteKey]) -> Witness:
    """A witness of this name (a URL without its scheme, say) with a key of the token, made the first time."""
    label = f"log-witness {name}"
    found = keys.find(label=label, use=KeyUse.LOG)
    info = found[0] if found else keys.generate(label, KeyAlgorithm.ED25519, KeyUse.LOG)
    public = public_key(info)
    assert isinstance(public, Ed25519PublicKey)  # noqa: S101 - it was made as one
    key = NoteKey(name, SignatureType.COSIGNATURE_V1, public.public_bytes(Encoding.Raw, PublicFormat.Raw))
    return Witness(
        home.path / "witnessed-logs",
        key,
        lambda message: keys.sign(info.key_id, Mechanism.EDDSA, message),
        {one.name: one for one in logs},
        clock,
    )


def witness_application(witness: Witness) -> Starlette:
    """``POST /add-checkpoint`` and nothing else."""

    async def add_checkpoint(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_REQUEST:
                return Response(status_code=413)
        try:
            answer = await run_in_threadpool(witness.add_checkpoint, body)
        except (CamTrustError, OSError):
            return Response(status_code=503)
        return Response(answer.body, answer.status, media_type=answer.content_type)

    return Starlette(routes=[Route("/add-checkpoint", add_checkpoint, methods=["POST"])])
