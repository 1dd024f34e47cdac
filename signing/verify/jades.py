"""JSON Web Signatures as JAdES has them (ETSI TS 119 182-1, RFC 7515), read strictly.

J1  form: compact, flattened or general JSON; no name twice, base64url in its one way, no other members JWS-FORM
J2  what decides about the signature is protected; the unprotected header holds etsiU alone           JWS-HEADER
J3  everything in crit is understood, and nothing unusual is asked for without it: no b64, no sigD    JWS-CRIT
J4  alg is one that counts and fits the key of the certificate, curve included                        JWS-ALGORITHM
J5  x5t#S256 (or x5t#o) names the first certificate of x5c; no key comes from jwk, and nothing is fetched
                                                                                        JWS-CERTIFICATE
J6  the signature over header and payload verifies                                                    JWS-SIGNATURE
J7  a signature that announces another one beside it stands beside exactly that one, which announces it    JWS-PARALLEL
J8  an archive timestamp is over payload, header, signature value and the members of etsiU before it, which are texts
    (TS 119 182-1 §5.3.6.2.3)                                                                          TST-IMPRINT

Each signature has a verdict, and all have to hold.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.base64url import encoded
from foundation.clock import parse_rfc3339
from foundation.x509.signature_check import Outcome, Scheme
from signing import jws
from signing.jws import JsonRefused
from signing.parallel_signatures import PARALLEL_HEADER
from signing.verify.cades_document import evidence_of
from signing.verify.model import (
    FileVerdict,
    Reason,
    SignatureKind,
    SignatureVerdict,
    SubIndication,
    failed,
    indeterminate,
    noted,
)
from signing.verify.policy import Policy
from signing.verify.signature import Claim, DigestOf, Known, Stamp, case_of, judge
from signing.verify.signature_value import loaded, other_content, signature_reasons, verify_value
from signing.verify.trust import Trust

_COMPACT = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\s*")
_CRITICAL = {"sigT"}  # what we understand of what crit may name; b64 and sigD change what is signed
_CHANGES_WHAT_IS_SIGNED = {"b64", "sigD"}
_MAX_SIGNATURES = 20
_MAX_UNSIGNED = 100
_MAX_ARCHIVE = 20
_EVIDENCE = {"xVals", "rVals", "tstVD"}
_MAX_CERTIFICATES = 100
_DIGESTS = {"S256": "sha256", "S384": "sha384", "S512": "sha512"}


@dataclass(frozen=True)
class _Jws:
    """One signature: its texts, and the unprotected header."""

    protected: str
    signature: str
    header: dict[str, Any]


def judge_json(
    data: bytes, name: str, trust: Trust, at: datetime, policy: Policy, detached: bytes | None
) -> FileVerdict | None:
    """The verdict on a JSON Web Signature in any serialisation; None for a file that is none."""
    try:
        found = _read(data)
    except JsonRefused:
        return FileVerdict(name, "JAdES", (), (_form("JWS-FORM"),))
    if found is None:
        return None
    payload, signatures = found
    if len(signatures) > _MAX_SIGNATURES:
        reason = indeterminate("JWS-LIMIT", "EN 319 102-1 §5.2.2", "verify_too_complex", SubIndication.GENERIC)
        return FileVerdict(name, "JAdES", (), (reason,))
    if not payload and detached is not None:
        payload = encoded(detached)
    if detached is not None and payload != encoded(detached):
        return FileVerdict(name, "JAdES", (), (other_content("JWS-DETACHED"),))
    verdicts = [_verdict(one, payload, str(number), trust, at, policy) for number, one in enumerate(signatures, 1)]
    beside = _parallel(signatures)
    return FileVerdict(name, "JAdES", tuple(one.with_reasons(beside[number]) for number, one in enumerate(verdicts)))


def _parallel(signatures: list[_Jws]) -> list[tuple[Reason, ...]]:
    """J7: what each signature announces beside itself stands there, and announces it."""
    headers = [_named(one) for one in signatures]
    found: list[tuple[Reason, ...]] = []
    for own, announced, _ in headers:
        partner = next((one for one in headers if announced is not None and one[:2] == (announced, own)), None)
        if announced is None:
            found.append(())
        elif partner is not None:
            found.append((noted("JWS-PARALLEL", "camtrust contract", "verify_parallel", algorithm=partner[2]),))
        else:
            sub = SubIndication.FORMAT_FAILURE
            found.append((failed("JWS-PARALLEL", "camtrust contract", "verify_parallel_missing", sub),))
    return found


def _named(one: _Jws) -> tuple[object, object, str]:
    """A signature's own thumbprint, the one that it announces, its algorithm. What is unreadable fails elsewhere."""
    try:
        header = jws.read(jws.decode(one.protected))
    except JsonRefused:
        return None, None, ""
    algorithm = header.get("alg")
    return header.get("x5t#S256"), header.get(PARALLEL_HEADER), algorithm if algorithm in jws.ALGORITHMS else ""


def _read(data: bytes) -> tuple[str, list[_Jws]] | None:
    """J1. None: not a signature. JsonRefused: one that is not of the form."""
    if len(data) > jws.MAX_SIZE:
        return None
    if data.lstrip()[:1] == b"{":
        return _read_json(data)
    if not _COMPACT.fullmatch(data):
        return None
    protected, payload, signature = data.decode().strip().split(".")
    try:
        header = jws.read(jws.decode(protected))
    except JsonRefused:
        return None
    return (payload, [_Jws(protected, signature, {})]) if "alg" in header else None


def _read_json(data: bytes) -> tuple[str, list[_Jws]] | None:
    claims = b'"signature"' in data or b'"signatures"' in data
    try:
        value = jws.read(data)
    except JsonRefused:
        if claims and b'"protected"' in data:
            raise
        return None
    general = value.get("signatures")
    entries = general if isinstance(general, list) else [value]
    if not claims or not any(isinstance(one, dict) and "protected" in one for one in entries):
        return None
    allowed = {"payload", "signatures"} if general is not None else {"payload", "protected", "header", "signature"}
    if set(value) - allowed or not isinstance(value.get("payload", ""), str):
        raise JsonRefused
    found = []
    for one in entries:
        if not isinstance(one, dict) or set(one) - {"protected", "header", "signature", "payload"}:
            raise JsonRefused
        if (general is not None and "payload" in one) or not isinstance(one.get("header", {}), dict):
            raise JsonRefused
        if not isinstance(one.get("protected"), str) or not isinstance(one.get("signature"), str):
            raise JsonRefused
        found.append(_Jws(one["protected"], one["signature"], one.get("header", {})))
    return value.get("payload", ""), found


def _verdict(one: _Jws, payload: str, field: str, trust: Trust, at: datetime, policy: Policy) -> SignatureVerdict:
    base = SignatureVerdict(SignatureKind.SIGNATURE, field, ())
    try:
        claim, evidence, certificates = _claim(one, payload, policy)
    except JsonRefused:
        return base.with_reasons((_form("JWS-FORM"),))
    if not payload:
        sub = SubIndication.SIGNED_DATA_NOT_FOUND
        return base.with_reasons((indeterminate("JWS-DETACHED", "EN 319 102-1 §5.2.7", "verify_detached", sub),))
    return judge(case_of(at, policy, trust, certificates, evidence), base, claim, Known(at))


def _claim(one: _Jws, payload: str, policy: Policy) -> tuple[Claim, Any, tuple[x509.Certificate, ...]]:
    jws.decode(payload)
    header = jws.read(jws.decode(one.protected))
    value = jws.decode(one.signature)
    reasons = list(_header_reasons(header, one.header))  # J2, J3
    certificates = loaded(jws.decode_base64(item) for item in _list(header.get("x5c", []))[:_MAX_CERTIFICATES])
    signer, objection = _signer(header, certificates)  # J5
    reasons += [objection] if objection else []
    if signer is not None:
        octets = f"{one.protected}.{payload}".encode()
        reasons += signature_reasons(_outcome(header.get("alg"), signer, value, octets, policy), "JWS")  # J4, J6
    told = _list(one.header.get("etsiU", []))[:_MAX_UNSIGNED]
    members = tuple(jws.member(item) for item in told)
    places = [place for place, item in enumerate(members) if _tokens(item, "arcTst")][:_MAX_ARCHIVE]
    material = (*members, *(_dict(item["tstVD"]) for item in members if "tstVD" in item))
    crls, ocsps = list(_values(material, "rVals", "crlVals")), list(_values(material, "rVals", "ocspVals"))
    carried = loaded(_certificate_values(material))

    def covering(place: int) -> frozenset[int]:
        return frozenset(number for number, archive in enumerate(places) if place < archive)

    def over(name: str) -> bytes:
        return hashlib.new(name, one.signature.encode()).digest()

    claim = Claim(
        signer,
        tuple(reasons),
        _time(header),
        tuple(
            Stamp(token, over, covering(place))
            for place, item in enumerate(members)
            for token in _tokens(item, "sigTst")
        ),
        tuple(
            Stamp(_tokens(members[place], "arcTst")[0], _archived(one, payload, told[:place]), covering(place))
            for place in places
        ),
        archive_complete=bool(places) and not any(_EVIDENCE & set(item) for item in members[places[-1] :]),
        log_proofs=tuple(jws.decode_base64(item[name]) for item in members for name in jws.LOG_PROOFS if name in item)[
            :8
        ],
    )
    return claim, evidence_of(ocsps, crls), (*certificates, *carried)


def _header_reasons(header: dict[str, Any], unprotected: dict[str, Any]) -> Iterator[Reason]:
    if set(unprotected) - {"etsiU"} or "etsiU" in header:
        yield _form("JWS-HEADER")
    critical = header.get("crit")
    if critical is not None:
        names = _list(critical)
        known = all(isinstance(name, str) and name in _CRITICAL and name in header for name in names)
        if not names or not known or len(set(names)) != len(names):
            yield _form("JWS-CRIT")
    if _CHANGES_WHAT_IS_SIGNED & set(header):
        yield _form("JWS-CRIT")


def _outcome(algorithm: object, signer: x509.Certificate, value: bytes, octets: bytes, policy: Policy) -> Outcome:
    known = jws.ALGORITHMS.get(algorithm) if isinstance(algorithm, str) else None
    if known is None:
        return Outcome.REFUSED
    scheme, hash_name, curve = known
    try:
        key = signer.public_key()
    except Exception:  # a key that cannot be read: cryptography raises several kinds
        return Outcome.REFUSED
    if isinstance(key, ec.EllipticCurvePublicKey) and curve is not None and key.curve.name != curve:
        return Outcome.WRONG
    if scheme is Scheme.ML_DSA and jws.ml_dsa_name(key) != algorithm:
        return Outcome.WRONG
    return verify_value(signer, scheme, hash_name, value, octets, policy)


def _signer(
    header: dict[str, Any], certificates: tuple[x509.Certificate, ...]
) -> tuple[x509.Certificate | None, Reason | None]:
    named = [("sha256", header["x5t#S256"])] if "x5t#S256" in header else []
    other = header.get("x5t#o")
    if isinstance(other, dict):
        named.append((_DIGESTS.get(str(other.get("digAlg")), ""), other.get("digVal")))
    if not named:
        sub = SubIndication.SIG_CONSTRAINTS_FAILURE
        clause = "TS 119 182-1 §5.1.7"
        return None, indeterminate("JWS-CERTIFICATE", clause, "verify_no_certificate_attribute", sub)
    first = certificates[0] if certificates else None
    octets = first.public_bytes(Encoding.DER) if first is not None else b""
    if first is None or any(not name or hashlib.new(name, octets).digest() != jws.decode(one) for name, one in named):
        sub = SubIndication.NO_SIGNING_CERTIFICATE_FOUND
        return None, indeterminate("JWS-CERTIFICATE", "EN 319 102-1 §5.2.3", "verify_no_signing_certificate", sub)
    return first, None


def _time(header: dict[str, Any]) -> datetime | None:
    """iat (seconds), or sigT of signatures from before 2025-07-15, which stay to be read (TS 119 182-1 V1.2.1 §5.1.11,
    §5.2.1). Where both stand, iat counts."""
    told, older = header.get("iat"), header.get("sigT")
    try:
        if isinstance(told, int) and not isinstance(told, bool):
            return datetime.fromtimestamp(told, UTC)
        return parse_rfc3339(older) if isinstance(older, str) else None
    except (ValueError, OverflowError, OSError):
        return None


def _tokens(member: dict[str, Any], name: str) -> list[bytes]:
    """The tokens of a timestamp container (TS 119 182-1 §5.4.3.3)."""
    container = _dict(member.get(name, {}))
    return [jws.decode_base64(_dict(token).get("val")) for token in _list(container.get("tstTokens", []))]


def _archived(one: _Jws, payload: str, before: list[Any]) -> DigestOf:
    """J8. Members in the clear have no one text that could be hashed: what is over them has an imprint of no token."""
    if not all(isinstance(item, str) for item in before):
        return lambda _: b""
    over = jws.archived_text(payload, one.protected, one.signature, before)
    return lambda name: hashlib.new(name, over).digest()


def _certificate_values(members: tuple[dict[str, Any], ...]) -> Iterator[bytes]:
    for member in members:
        for one in _list(member.get("xVals", [])):
            yield jws.decode_base64(_dict(_dict(one).get("x509Cert", {})).get("val"))


def _values(members: tuple[dict[str, Any], ...], name: str, kind: str) -> Iterator[bytes]:
    for member in members:
        for one in _list(_dict(member.get(name, {})).get(kind, [])):
            yield jws.decode_base64(_dict(one).get("val"))


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise JsonRefused
    return value


def _dict(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise JsonRefused
    return value


def _form(rule: str) -> Reason:
    return failed(rule, "RFC 7515 §5.2", "verify_format_failure", SubIndication.FORMAT_FAILURE)
