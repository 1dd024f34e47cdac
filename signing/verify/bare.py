"""Evidence that comes alone: a timestamp about a file (RFC 3161), and a certificate, judged as of now.

    timestamp    a TimeStampToken or a TimeStampResp; the file that it is about comes beside it (``--detached``)
    certificate  DER or PEM, one: its path, purpose left open, and its status at the time of verification

Neither is a signature of a person: what passes here proves that the octets existed, or that the certificate is good.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from asn1crypto import tsp
from cryptography import x509

from foundation.clock import rfc3339
from signing.verify.cms import TST_INFO, CmsMalformed, read_message
from signing.verify.model import (
    FileVerdict,
    Indication,
    SignatureKind,
    SignatureVerdict,
    SubIndication,
    indeterminate,
    noted,
)
from signing.verify.policy import Policy
from signing.verify.signature import case_of, specimen_note
from signing.verify.standing import identity, judge_certificate, judge_unit
from signing.verify.timestamps import TimestampProblem, check_token
from signing.verify.trust import Trust

_PEM = b"-----BEGIN CERTIFICATE-----"
_LARGEST = 1024 * 1024  # octets of a token or a certificate


def judge_bare(
    data: bytes, name: str, trust: Trust, at: datetime, policy: Policy, detached: bytes | None
) -> FileVerdict | None:
    """The verdict on a timestamp or certificate; None for anything else. ``detached``: what was timestamped."""
    if len(data) > _LARGEST:
        return None
    token = _token(data)
    if token is not None:
        return FileVerdict(name, "timestamp", (_timestamp(token, trust, at, policy, detached),))
    certificate = _certificate(data)
    if certificate is not None:
        return FileVerdict(name, "certificate", (_standing(certificate, trust, at, policy),))
    return None


def _timestamp(octets: bytes, trust: Trust, at: datetime, policy: Policy, detached: bytes | None) -> SignatureVerdict:
    base = SignatureVerdict(SignatureKind.DOCUMENT_TIMESTAMP, "-", ())
    if detached is None:
        missing = SubIndication.SIGNED_DATA_NOT_FOUND
        return base.with_reasons(
            (indeterminate("TST-DETACHED", "EN 319 102-1 §5.4.2", "verify_timestamp_detached", missing),)
        )
    digest_of: Callable[[str], bytes] = lambda kind: hashlib.new(kind, detached).digest()  # noqa: E731
    token = check_token(octets, digest_of, policy)
    if isinstance(token, TimestampProblem):
        signer = identity(token.unit) if token.unit else None
        return replace(base, signer=signer, claimed_at=token.time).with_reasons(token.reasons)
    case = case_of(at, policy, trust, token.certificates)
    judgement = judge_unit(case, token.unit, token.time, at)
    verdict = replace(
        base,
        signer=identity(token.unit),
        claimed_at=token.time,
        relied_on=judgement.relied_on,
        specimen=judgement.specimen,
    ).with_reasons(judgement.reasons)
    if verdict.indication is not Indication.TOTAL_PASSED:
        return verdict
    shown = rfc3339(token.time.replace(microsecond=0))
    proof = noted("TST-PROOF", "EN 319 102-1 §5.4", "verify_document_timestamp", when=shown)
    return replace(verdict, proved_at=token.time).with_reasons((proof, *specimen_note(verdict.specimen)))


def _standing(certificate: x509.Certificate, trust: Trust, at: datetime, policy: Policy) -> SignatureVerdict:
    base = SignatureVerdict(SignatureKind.CERTIFICATE, "-", (), signer=identity(certificate))
    if any(one.certificate == certificate for one in trust.anchors):
        return base.with_reasons((noted("PATH-ANCHOR", "RFC 5280 §6.1.1 (d)", "verify_is_anchor"),))
    judgement = judge_certificate(case_of(at, policy, trust, (certificate,)), certificate)
    verdict = replace(base, relied_on=judgement.relied_on, specimen=judgement.specimen)
    return verdict.with_reasons((*judgement.reasons, *specimen_note(judgement.specimen)))


def _token(data: bytes) -> bytes | None:
    """The TimeStampToken in these octets: they are one, or a TimeStampResp around one."""
    if data[:1] != b"\x30":
        return None
    octets = data
    try:
        response: Any = tsp.TimeStampResp.load(data, strict=True)
        if response["status"]["status"].native in ("granted", "granted_with_mods"):
            octets = response["time_stamp_token"].dump()
    except MemoryError:
        raise
    except Exception:  # noqa: S110  (whatever asn1crypto raises: it is no response)
        pass
    try:
        message = read_message(octets)
    except CmsMalformed:
        return None
    return octets if message.content_type == TST_INFO else None


def _certificate(data: bytes) -> x509.Certificate | None:
    try:
        if data.lstrip().startswith(_PEM) and data.count(_PEM) == 1:
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data) if data[:1] == b"\x30" else None
    except MemoryError:
        raise
    except Exception:  # whatever hostile octets do to a parser: no certificate
        return None
