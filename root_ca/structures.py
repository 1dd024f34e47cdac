"""What an act signs and writes, as a plan: the same for checking, rehearsing, performing and verifying, bit for bit.

A plan is a generator. It gives one structure after the other to be signed and takes each finished one back, because
some depend on others (a statement names the certificates of both roots); at the end it returns the files that are not
signed. Who drives it decides what signing means: a throwaway key (`check`), the token (`perform`), or the file that
lies there (`verify`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes, CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.clock import rfc3339
from foundation.x509.certificate import CertificateInput, Urls, certificate_builder, key_identifier
from foundation.x509.crl import crl_tbs, encode_entry
from foundation.x509.csr import read_csr
from foundation.x509.names import subject_name
from foundation.x509.pem import certificate_pem
from foundation.x509.profile import Profile
from foundation.x509.twin import twin_statement
from root_ca.acts import (
    Act,
    BelowAct,
    CrossCertificateAct,
    DestroyAct,
    EmergencyCrlAct,
    EndAct,
    LicenceAct,
    RolloverAct,
    RootAct,
    RootCrlAct,
    SubordinateAct,
    TwinRootAct,
)
from root_ca.model import CertificatePart, ConstraintsPart, LinkPart, RevokedPart, StatementPart

NO_NEXT_UPDATE = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # EN 319 411-1 §6.3.9: of a last CRL

_STATUS = "http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/"  # TS 119 612 §5.5.4 and annex D
_BEGINS = {"CA/QC": "granted", "CA/PKC": "recognisedatnationallevel"}
_ENDS = {"CA/QC": "withdrawn", "CA/PKC": "deprecatedatnationallevel"}

Structure = x509.Certificate | x509.CertificateRevocationList


@dataclass(frozen=True)
class ToSign:
    """One structure to be signed with the key ``signer``, into the file ``output``.

    A certificate has a ``builder`` and its ``profile``; a CRL has ``tbs``. ``issuer`` is None where the certificate
    is its own issuer.
    """

    output: str
    signer: str
    issuer_key: CertificateIssuerPublicKeyTypes
    issuer: x509.Certificate | None
    builder: x509.CertificateBuilder | None = None
    profile: Profile | None = None
    tbs: bytes = b""


@dataclass(frozen=True)
class Issued:
    """A certificate that a root issued, and the act that licensed it, if one did."""

    certificate: x509.Certificate
    licence: LicenceAct | None = None


@dataclass(frozen=True)
class Facts:
    """What a plan takes beside the act: input octets, the issuing root, the new root's key, serial numbers by output,
    profiles by name, and what the root has issued and revoked so far."""

    inputs: Mapping[str, bytes]
    issuer: x509.Certificate | None
    new_key: CertificateIssuerPublicKeyTypes | None
    serial: Callable[[str], int]
    profiles: Mapping[str, Profile]
    issued: tuple[Issued, ...] = ()
    revoked: tuple[RevokedPart, ...] = ()


Plan = Generator[ToSign, Structure, dict[str, bytes]]


def plan(act: Act, facts: Facts) -> Plan:
    """The plan of an act. Raises what builders raise (ProfileMismatch, NameInvalid, CsrInvalid) while it runs."""
    match act:
        case RootAct():
            return _root(act, facts)
        case TwinRootAct():
            return _twin(act, facts)
        case RolloverAct():
            return _rollover(act, facts)
        case SubordinateAct() | CrossCertificateAct() | LicenceAct():
            return _below(act, facts)
        case RootCrlAct() | EmergencyCrlAct() | EndAct():
            return _crl(act, facts)
        case DestroyAct():
            return _destroy(act, facts)


def run(steps: Plan, sign: Callable[[ToSign], Structure]) -> dict[str, bytes]:
    """Drive a plan: each structure goes through ``sign``. Gives the files that are not signed."""
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send(sign(wanted))
    except StopIteration as end:
        files: dict[str, bytes] = end.value
        return files


def _known(value: Any) -> Any:
    if value is None:
        raise KeyError("a fact of the act is missing")
    return value


def _self_signed(act: RootAct | TwinRootAct | RolloverAct, facts: Facts) -> ToSign:
    part, key = act.certificate, _known(facts.new_key)
    profile, name = facts.profiles[part.profile], subject_name(part.subject)
    serial = facts.serial(act.outputs.certificate)
    given = CertificateInput(profile, name, key, serial, part.not_before, part.not_after, name, key)
    return ToSign(act.outputs.certificate, act.key.label, key, None, certificate_builder(given), profile)


def _root(act: RootAct, facts: Facts) -> Plan:
    yield _self_signed(act, facts)
    return {}


def _twin(act: TwinRootAct, facts: Facts) -> Plan:
    old: x509.Certificate = _known(facts.issuer)
    new = yield _self_signed(act, facts)
    if not isinstance(new, x509.Certificate):
        raise TypeError("a root is a certificate")
    statement = twin_statement(old, new, act.statement.en, act.statement.km)
    outputs, labels = act.outputs, act.key
    yield _statement(act.statement, facts, outputs.by_new, labels.label, new, old, statement)
    yield _statement(act.statement, facts, outputs.by_old, labels.beside, old, new, statement)
    return {}


def _statement(
    part: StatementPart,
    facts: Facts,
    output: str,
    signer: str,
    issuer: x509.Certificate,
    other: x509.Certificate,
    statement: bytes,
) -> ToSign:
    profile = facts.profiles[part.profile]
    given = CertificateInput(
        profile=profile,
        subject=subject_name(part.subject),
        public_key=other.public_key(),
        serial=facts.serial(output),
        not_before=part.not_before,
        not_after=part.not_after,
        issuer_name=issuer.subject,
        issuer_public_key=issuing_key(issuer),
        statement=statement,
    )
    return ToSign(output, signer, issuing_key(issuer), issuer, certificate_builder(given), profile)


def _rollover(act: RolloverAct, facts: Facts) -> Plan:
    old: x509.Certificate = _known(facts.issuer)
    new = yield _self_signed(act, facts)
    if not isinstance(new, x509.Certificate):
        raise TypeError("a root is a certificate")
    outputs, labels = act.outputs, act.key
    yield _link(act.old_with_new, facts, outputs.old_with_new, labels.label, new, old)
    yield _link(act.new_with_old, facts, outputs.new_with_old, labels.beside, old, new)
    return {}


def _link(
    part: LinkPart, facts: Facts, output: str, signer: str, issuer: x509.Certificate, subject: x509.Certificate
) -> ToSign:
    profile = facts.profiles[part.profile]
    given = CertificateInput(
        profile=profile,
        subject=subject.subject,
        public_key=subject.public_key(),
        serial=facts.serial(output),
        not_before=part.not_before,
        not_after=part.not_after,
        issuer_name=issuer.subject,
        issuer_public_key=issuing_key(issuer),
        urls=Urls(issuer=part.issuer, crl=part.crl),
    )
    return ToSign(output, signer, issuing_key(issuer), issuer, certificate_builder(given), profile)


def _below(act: BelowAct, facts: Facts) -> Plan:
    issuer: x509.Certificate = _known(facts.issuer)
    part = act.certificate
    profile = facts.profiles[part.profile]
    given = CertificateInput(
        profile=profile,
        subject=subject_name(part.subject),
        public_key=read_csr(facts.inputs[act.inputs.csr]).public_key(),
        serial=facts.serial(act.outputs.certificate),
        not_before=part.not_before,
        not_after=part.not_after,
        issuer_name=issuer.subject,
        issuer_public_key=issuing_key(issuer),
        urls=Urls(ocsp=act.urls.ocsp, issuer=act.urls.issuer, crl=act.urls.crl),
        name_constraints=_constraints(act.constraints) if isinstance(act, LicenceAct) else None,
    )
    certificate = yield ToSign(
        act.outputs.certificate, act.key.label, issuing_key(issuer), issuer, certificate_builder(given), profile
    )
    if isinstance(act, LicenceAct) and isinstance(certificate, x509.Certificate):
        return {act.outputs.status: _json(_service(act, certificate))}
    return {}


def _constraints(part: ConstraintsPart) -> x509.NameConstraints:
    permitted: list[x509.GeneralName] = [x509.DirectoryName(subject_name([("C", "KH"), ("O", one)])) for one in part.o]
    permitted += [x509.DNSName(one) for one in part.dns]
    permitted += [x509.RFC822Name(one) for one in part.email]
    return x509.NameConstraints(permitted, None)


def _service(act: LicenceAct, certificate: x509.Certificate, withdrawn: datetime | None = None) -> dict[str, Any]:
    history = [{"status": f"{_STATUS}{_BEGINS[act.service.type]}", "from": rfc3339(act.service.since)}]
    if withdrawn is not None:
        history.append({"status": f"{_STATUS}{_ENDS[act.service.type]}", "from": rfc3339(withdrawn)})
    return {
        "format": "camtrust-service-status-1",
        "name": {"en": act.service.en, "km": act.service.km},
        "type": f"http://uri.etsi.org/TrstSvc/Svctype/{act.service.type}",
        "certificate_sha256": fingerprint(certificate),
        "key_identifier": key_identifier(certificate.public_key()).hex(),
        "audit": {
            "reference": act.audit.reference,
            "auditor": act.audit.auditor,
            "criteria": act.audit.criteria,
            "valid_until": rfc3339(act.audit.valid_until),
            "report_sha256": act.inputs.audit_report_sha256,
        },
        "history": history,
    }


def _crl(act: RootCrlAct | EmergencyCrlAct | EndAct, facts: Facts) -> Plan:
    issuer: x509.Certificate = _known(facts.issuer)
    part = act.crl
    last = isinstance(act, EndAct)
    tbs = crl_tbs(
        issuer,
        part.number,
        part.this_update,
        NO_NEXT_UPDATE if isinstance(act, EndAct) else act.crl.next_update,
        [encode_entry(item.entry()) for item in part.revoked],
        act.crl.expired_since if isinstance(act, EndAct) else None,
    )
    crl = yield ToSign(act.outputs.crl, act.key.label, issuing_key(issuer), issuer, tbs=tbs)
    if isinstance(act, RootCrlAct):
        return {}
    told = act.notice if isinstance(act, EndAct) else act.incident
    value = {
        "format": "camtrust-root-notice-1",
        "about": "end" if last else "compromise",
        "reference": told.reference,
        "from": rfc3339(act.notice.effective if isinstance(act, EndAct) else act.incident.detected_at),
        "contact": told.contact,
        "en": told.en,
        "km": told.km,
        "root_sha256": fingerprint(issuer),
        "crl_sha256": hashlib.sha256(crl.public_bytes(Encoding.DER)).hexdigest(),
        "revoked": [_told(item, facts) for item in part.revoked if item not in facts.revoked],
    }
    return {act.outputs.notice: _json(value)}


def _told(item: RevokedPart, facts: Facts) -> dict[str, Any]:
    issued = {one.certificate.serial_number: one for one in facts.issued}[int(item.serial, 16)]
    told: dict[str, Any] = {
        "serial": item.serial,
        "subject": issued.certificate.subject.rfc4514_string(),
        "certificate_sha256": fingerprint(issued.certificate),
        "reason": item.reason,
        "revoked_at": rfc3339(item.revoked_at),
    }
    if issued.licence is not None:
        told["service"] = _service(issued.licence, issued.certificate, item.revoked_at)
    return told


def _destroy(act: DestroyAct, facts: Facts) -> Plan:
    root: x509.Certificate = _known(facts.issuer)
    public = root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    value = {
        "format": "camtrust-key-destruction-1",
        "label": act.key.label,
        "public_key_sha256": hashlib.sha256(public).hexdigest(),
        "root_sha256": fingerprint(root),
        "reason": act.destruction.reason,
        "reference": act.destruction.reference,
    }
    yield from ()  # a plan like the others; nothing is to be signed
    return {act.outputs.record: _json(value)}


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def file_of(structure: Structure) -> bytes:
    """The file that holds a structure: PEM of a certificate, DER of a CRL."""
    if isinstance(structure, x509.Certificate):
        return certificate_pem(structure)
    return structure.public_bytes(Encoding.DER)


def fingerprint(certificate: x509.Certificate) -> str:
    """The SHA-256 of a certificate, in hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def issuing_key(certificate: x509.Certificate) -> CertificateIssuerPublicKeyTypes:
    """The key of a CA's certificate; every kind that a root of ours has can issue."""
    key: CertificatePublicKeyTypes = certificate.public_key()
    return key  # type: ignore[return-value]


def profiles_used(act: Act) -> tuple[CertificatePart | LinkPart | StatementPart, ...]:
    """The tables of an act that name a profile."""
    match act:
        case TwinRootAct():
            return (act.certificate, act.statement)
        case RolloverAct():
            return (act.certificate, act.old_with_new, act.new_with_old)
        case RootAct() | SubordinateAct() | CrossCertificateAct() | LicenceAct():
            return (act.certificate,)
        case _:
            return ()
