"""The proof-of-proofing receipt: what was verified about a person, when, and under which policy; theirs to keep. Pure.

A compact JWS (RFC 7515, ES256, ``typ`` ``camtrust-receipt+jwt``) over JWT claims with ``verified_claims`` (OpenID
Identity Assurance Schema Definition 1.0 §5): level, times, the kinds of evidence and how each was checked. It names
nobody unless the person asks for it. Which documents or numbers were shown is not in it.

    EKYC-RECEIPT-FORM       not a receipt: another header, or claims that are not these
    EKYC-RECEIPT-SIGNATURE  not signed by the key that was pinned

and the rules of `foundation.log_proof`: the issuance log has exactly this receipt. Its timestamp is a file of its own,
for `camtrust verify`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from ekyc.evidence.record import Evidence, EvidenceKind, latest
from ekyc.review.desk import Method
from foundation.base64url import encoded
from foundation.clock import rfc3339
from foundation.log_proof import EntryKind, InclusionProof, LogProofInvalid, check_entry
from foundation.signed_note import NoteKey
from foundation.x509.finding import Finding

TYPE = "camtrust-receipt+jwt"
FRAMEWORK = "kh_camtrust"
_ALGORITHM = "ES256"
_HALF = 32  # octets of r and of s on P-256
_MOST = 20_000  # characters
_DOCUMENTS = {"id-card": "idcard", "passport": "passport"}
_SEEN = {Method.IN_PERSON.value: "pvp", Method.REMOTE_VIDEO.value: "pvr"}
_CLAUSE = "OpenID Identity Assurance Schema Definition 1.0 §5"


@dataclass(frozen=True)
class Facts:
    """What a receipt is about; ``name``: the claims that name the person, empty where they did not ask for it."""

    issuer: str
    person_id: str
    enrolment_id: str
    level: str
    serial: str  # of the certificate
    receipt_id: str
    at: datetime
    name: Mapping[str, str] = field(default_factory=dict, repr=False)


def claims(facts: Facts, ledger: Sequence[Evidence]) -> dict[str, Any]:
    """The JWT's claims, from the ledger up to the decision that approved."""
    decided = max((one.sequence for one in ledger if one.kind is EvidenceKind.DECISION), default=0)
    before = [one for one in ledger if one.sequence <= decided]
    decision = latest(before, EvidenceKind.DECISION)
    return {
        "iss": facts.issuer,
        "sub": facts.person_id,
        "jti": facts.receipt_id,
        "iat": int(facts.at.timestamp()),
        "verified_claims": {
            "verification": {
                "trust_framework": FRAMEWORK,
                "assurance_level": facts.level,
                "time": rfc3339(decision.at if decision else facts.at),
                "verification_process": facts.enrolment_id,
                "evidence": _evidence(before),
            },
            "claims": dict(facts.name) or {"sub": facts.person_id},
        },
        "policy": {
            "version": decision.facts.get("policy", "") if decision else "",
            "sha256": decision.facts.get("policy_digest", "") if decision else "",
        },
        "certificate_serial": facts.serial,
    }


def _evidence(ledger: Sequence[Evidence]) -> list[dict[str, Any]]:
    """Each kind once, by its last record; check methods as OpenID's list of predefined values has them."""
    found: list[dict[str, Any]] = []
    document = latest(ledger, EvidenceKind.DOCUMENT)
    if document is not None:  # the officers compared the person with it
        checks = [{"check_method": "vdig", "check_id": document.control, "time": rfc3339(document.at)}]
        chip = latest(ledger, EvidenceKind.CHIP)
        if chip is not None and chip.outcome == "authentic":
            checks.append({"check_method": "vcrypt", "check_id": chip.control, "time": rfc3339(chip.at)})
        checks += _reviews(ledger)
        kind = _DOCUMENTS.get(document.facts.get("type", ""), "idcard")
        found.append({"type": "document", "check_details": checks, "document_details": {"type": kind}})
    declared = latest(ledger, EvidenceKind.DECLARATION)
    if document is None and declared is not None:
        words = [one for one in ledger if one.kind is EvidenceKind.VOUCH and one.sequence > declared.sequence]
        checks = [{"check_method": "auth", "check_id": one.control, "time": rfc3339(one.at)} for one in words]
        attestation = {"type": "digital_attestation"}
        found.append({"type": "vouch", "check_details": checks + _reviews(ledger), "attestation": attestation})
    registry = latest(ledger, EvidenceKind.REGISTRY)
    if registry is not None:
        check = {"check_method": "data", "check_id": registry.control, "time": rfc3339(registry.at)}
        record = {"type": "population_register"}
        found.append({"type": "electronic_record", "check_details": [check], "record": record})
    contact = latest(ledger, EvidenceKind.CONTACT)
    if contact is not None:
        check = {"check_method": "auth", "check_id": contact.control, "time": rfc3339(contact.at)}
        record = {"type": "contact_address"}
        found.append({"type": "electronic_record", "check_details": [check], "record": record})
    return found


def _reviews(ledger: Sequence[Evidence]) -> list[dict[str, str]]:
    """What officers said for the person, by how they saw them."""
    return [
        {
            "check_method": _SEEN.get(one.facts.get("method", ""), "data"),
            "check_id": one.control,
            "time": rfc3339(one.at),
        }
        for one in ledger
        if one.kind is EvidenceKind.REVIEW and one.outcome == "bound"
    ]


def sign(signer: Callable[[bytes], bytes], public_key: bytes, said: Mapping[str, Any]) -> str:
    """The receipt (RFC 7515 §7.1, RFC 7518 §3.4). ``signer`` gives a DER ECDSA signature with SHA-256 by the P-256 key
    whose SubjectPublicKeyInfo is ``public_key``.
    """
    header = {"alg": _ALGORITHM, "typ": TYPE, "kid": hashlib.sha256(public_key).hexdigest()}
    signed = f"{encoded(_json(header))}.{encoded(_json(said))}"
    r, s = decode_dss_signature(signer(signed.encode("ascii")))
    return f"{signed}.{encoded(r.to_bytes(_HALF, 'big') + s.to_bytes(_HALF, 'big'))}"


def subject(issuer: str, person_id: str) -> str:
    """Whose label receipts stand under in the log: not that of certificates."""
    return f"receipt:{issuer}:{person_id}"


def check(
    receipt: str, public_key: bytes, pins: Collection[str], proof: bytes | None = None, log: NoteKey | None = None
) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """The claims, and what speaks against them, rule by rule; nothing where the receipt stands. Needs no network.

    ``pins``: SHA-256 (hex) of the keys that are trusted to make receipts; ``public_key`` came with the receipt and
    proves nothing by itself. With ``log`` the ``proof`` must show that the log has exactly this receipt.
    """
    if hashlib.sha256(public_key).hexdigest() not in pins:
        return {}, (_finding("EKYC-RECEIPT-SIGNATURE", "the key is not one that was pinned"),)
    try:
        key = load_der_public_key(public_key)
        if len(receipt) > _MOST or not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError
        given = jws.deserialize_compact(receipt.encode("ascii"), ECKey.import_key(key), [_ALGORITHM])
    except (JoseError, ValueError):
        return {}, (_finding("EKYC-RECEIPT-SIGNATURE", "the receipt is not signed by its key"),)
    try:
        said = json.loads(given.payload)
        verified = said["verified_claims"]
        whole = (
            given.headers().get("typ") == TYPE
            and verified["verification"]["trust_framework"] == FRAMEWORK
            and bool(verified["claims"])
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        said, whole = {}, False
    if not whole:
        return {}, (_finding("EKYC-RECEIPT-FORM", "these are not the claims of a receipt"),)
    if log is None:
        return said, ()
    try:
        included = InclusionProof.parse(proof or b"")
    except LogProofInvalid:
        return said, (_finding("EKYC-RECEIPT-FORM", "the proof is not a tlog-proof"),)
    about = subject(said["iss"], said["sub"])
    return said, check_entry(included, log, EntryKind.RECEIPT, hashlib.sha256(receipt.encode()).digest(), about)


def _finding(rule: str, message: str) -> Finding:
    return Finding(rule, _CLAUSE, message)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
