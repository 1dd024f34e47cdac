"""The issuance log over HTTP, as C2SP tlog-tiles says: ``/log/checkpoint`` and ``/log/tile/…``. Anybody may read.

Beside it: proofs of what the service publishes about itself, and for each person what is logged in their name.
(Annotations are not postponed here: FastAPI resolves them, and the guards are local to the functions.)
"""

from datetime import UTC, datetime
from typing import Annotated

from cryptography import x509
from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel

from foundation.clock import rfc3339
from foundation.http.actor import Actor
from foundation.http.guard import Guard, public
from foundation.log_proof import EntryKind
from foundation.x509.pem import certificate_pem
from issuing_ca.errors import LogEntryUnknown
from issuing_ca.log import IssuanceLog
from issuing_ca.model import CertificateState
from issuing_ca.own_log import LoggedAsTheirs, OwnLog
from issuing_ca.timestamp_journal import TimestampJournal

_FOR_EVER = {"cache-control": "public, max-age=31536000, immutable"}
# certificates and the uses of persons' keys are their holders' to show
_PUBLISHED = frozenset(EntryKind) - {EntryKind.CERTIFICATE, EntryKind.KEY_USE, EntryKind.RECEIPT}

Hour = Annotated[str, Path(pattern=r"^[0-9]{8}T[0-9]{2}$", description="of the token's genTime, UTC: 20260501T09")]
Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="SHA-256, hexadecimal")]


class OwnEntry(BaseModel):
    """An entry of the log under the person's label. ``proof``: a C2SP tlog-proof with its opening, to be checked
    without this service. ``certificate``: PEM; null for one that the CA does not know as theirs: ask about it."""

    kind: EntryKind
    digest: str
    logged_at: str
    index: int
    proof: str
    serial: str | None
    profile: str | None
    state: CertificateState | None
    certificate: str | None


class TimestampProofView(BaseModel):
    """``statement``: canonical JSON about one hour's tokens, with ``size`` and ``root`` of the tree over their SHA-256;
    ``hashes`` (hexadecimal) lead there from the leaf at ``index`` (RFC 9162 §2.1.3.2); ``proof``: a C2SP tlog-proof
    that the log has the SHA-256 of the statement."""

    statement: str
    index: int
    hashes: list[str]
    proof: str


class OwnEntries(BaseModel):
    """Everything that is logged in a person's name. ``subject``: what the label is made from, as it stands in their
    certificates; ``log_key``: the verifier key of the log."""

    subject: str
    log_key: str
    entries: list[OwnEntry]


def create_log_router(service: IssuanceLog) -> APIRouter:
    """The checkpoint, which is never kept by caches, and the tiles, which never change."""
    router = APIRouter(prefix="/log", tags=["Issuance log"], dependencies=[Depends(public)])

    @router.get("/checkpoint", response_class=Response)
    def checkpoint() -> Response:
        """The newest signed tree head, with the witnesses' cosignatures (C2SP tlog-checkpoint)."""
        headers = {"cache-control": "no-cache"}
        return Response(service.checkpoint(), media_type="text/plain; charset=utf-8", headers=headers)

    @router.get("/tile/{path:path}", response_class=Response)
    def tile(path: str) -> Response:
        """Hashes of the tree (``<L>/<N>[.p/<W>]``), or a bundle of entries (``entries/<N>[.p/<W>]``)."""
        return Response(service.tile(path), media_type="application/octet-stream", headers=_FOR_EVER)

    @router.get("/proof/{kind}/{digest}", response_class=Response)
    def proof(kind: EntryKind, digest: Digest) -> Response:
        """The proof (C2SP tlog-proof) that something published is in the log: a CRL, a transcript of a ceremony, a
        statement about an hour's timestamps or about revocations. Certificates' and key uses' are their holders'."""
        if kind not in _PUBLISHED:
            raise LogEntryUnknown
        found = service.inclusion(bytes.fromhex(digest), kind)
        return Response(bytes(found), media_type="text/plain; charset=utf-8", headers={"cache-control": "no-cache"})

    return router


def create_timestamp_proof_router(journal: TimestampJournal) -> APIRouter:
    """Proofs of single timestamp tokens. Who has a token, has its digest; nobody else learns anything here."""
    router = APIRouter(prefix="/log", tags=["Issuance log"], dependencies=[Depends(public)])

    @router.get("/timestamps/{hour}/{digest}")
    def timestamp_proof(hour: Hour, digest: Digest) -> TimestampProofView:
        """That the token with this SHA-256 was given in this hour: under the hour's root, which is in the log."""
        try:
            at = datetime.strptime(hour, "%Y%m%dT%H").replace(tzinfo=UTC)
        except ValueError:
            raise LogEntryUnknown from None
        found = journal.proof(bytes.fromhex(digest), at)
        return TimestampProofView(
            statement=found.statement.decode(),
            index=found.index,
            hashes=[one.hex() for one in found.hashes],
            proof=bytes(found.logged).decode(),
        )

    return router


def create_own_log_router(service: OwnLog, log: IssuanceLog, guard: Guard) -> APIRouter:
    """What a person sees of the log."""
    router = APIRouter(prefix="/ca/v1", tags=["Issuance log"])
    person = guard.person()

    @router.get("/own-certificates/log")
    def own_entries(actor: Annotated[Actor, Depends(person)]) -> OwnEntries:
        """Every certificate that was issued in the name of the person who asks, with the proof that it is logged."""
        return OwnEntries(
            subject=service.subject(actor),
            log_key=str(log.verifier_key()),
            entries=[_entry(one) for one in service.of(actor)],
        )

    return router


def _entry(one: LoggedAsTheirs) -> OwnEntry:
    opening, record = one.proof.opening, one.record
    certificate = None
    if record is not None and record.certificate is not None:
        certificate = certificate_pem(x509.load_der_x509_certificate(record.certificate)).decode()
    return OwnEntry(
        kind=opening.kind,
        digest=opening.digest.hex(),
        logged_at=rfc3339(opening.at),
        index=one.proof.index,
        proof=bytes(one.proof).decode(),
        serial=None if record is None else record.serial,
        profile=None if record is None else record.profile,
        state=None if record is None else record.state,
        certificate=certificate,
    )
