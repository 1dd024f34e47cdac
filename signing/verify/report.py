"""The validation report: a verdict as XML for other programs (ETSI TS 119 102-2 V1.4.1).

One report is about one file. Each signature has a `SignatureValidationReport`; document timestamps are validation
objects with a report of their own (§4.4.8), or stand as signatures where the file has nothing else. What a verdict
relied on is listed with its digest (§4.4), and every rule that spoke is a constraint (§4.3.5.4) with its outcome.

A file without any signature has no report: TS 119 102-2 has no word for it, and `NO_SIGNATURE` stays ours.
"""

from __future__ import annotations

import base64
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree

from foundation.catalogue import Language
from foundation.clock import rfc3339
from signing.verify.model import (
    SIGNED,
    FileVerdict,
    Indication,
    Reason,
    ReliedOn,
    SignatureKind,
    SignatureVerdict,
    SubIndication,
    worst,
)

VR = "http://uri.etsi.org/19102/v1.4.1#"
DS = "http://www.w3.org/2000/09/xmldsig#"
XADES = "http://uri.etsi.org/01903/v1.3.2#"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
URN = "urn:etsi:019102"
RULES = "urn:camtrust:verification:rule"
POLICIES = "urn:camtrust:verification:policy"

# §4.4.4: the type of a validation object, by what a verdict calls it
_TYPES = {
    "certificate": "certificate",
    "anchor": "certificate",
    "crl": "CRL",
    "ocsp": "OCSPResponse",
    "timestamp": "timestamp",
}
_DOCUMENT = "document"  # the id of the file itself among the objects

_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# An id of an object: its kind goes into it, so that an anchor and a certificate of the same octets are told apart.
_Ids = Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class ReportSource:
    """What a report is made from. ``sha256``: of the file, hex; ``at``: the time of the judgement."""

    verdict: FileVerdict
    sha256: str
    at: datetime
    policy: str


def has_report(verdict: FileVerdict) -> bool:
    """Whether there is a signature to report on."""
    return any(one.kind not in (SignatureKind.CERTIFICATE, SignatureKind.PAPER) for one in verdict.signatures)


def validation_report(source: ReportSource) -> bytes:
    """The report as UTF-8 XML. Raises ValueError for a file without signatures (:func:`has_report`)."""
    verdict = source.verdict
    if not has_report(verdict):
        raise ValueError("there is no signature to report on")
    for prefix, uri in (("", VR), ("ds", DS), ("xades", XADES)):
        ElementTree.register_namespace(prefix, uri)
    signatures = [one for one in verdict.signatures if one.kind in SIGNED]
    stamps = [one for one in verdict.signatures if one.kind is SignatureKind.DOCUMENT_TIMESTAMP]
    if not signatures:
        signatures, stamps = stamps, []
    ids = _object_ids(verdict.signatures)
    root = ElementTree.Element(_vr("ValidationReport"))
    for number, one in enumerate(signatures, 1):
        _signature(_under(root, "SignatureValidationReport"), one, f"signature-{number}", source, ids)
    objects = _under(root, "SignatureValidationObjects")
    document = _object(objects, _DOCUMENT, "signedData", source.sha256)
    # a name is a relative reference, never a path of the machine that judged
    _under(document, "URI", _reference(verdict.file))
    for (_, sha256), (identifier, what) in _objects(verdict.signatures).items():
        _object(objects, identifier, _TYPES.get(what.kind, "other"), sha256)
    for number, one in enumerate(stamps, 1):
        entry = _under(objects, "ValidationObject", id=f"document-timestamp-{number}")
        _under(entry, "ObjectType", f"{URN}:validationObject:timestamp")
        _under(_under(entry, "ValidationObjectRepresentation"), "direct", one.field)
        report = _under(entry, "ValidationReport")
        _signature(report, one, f"document-timestamp-{number}-signature", source, ids)
    ElementTree.indent(root)
    body: str = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'.encode()


def _signature(
    parent: ElementTree.Element, one: SignatureVerdict, identifier: str, source: ReportSource, ids: _Ids
) -> None:
    """§4.3: what is said of one signature, in the order of the schema."""
    reasons = (*source.verdict.reasons, *one.reasons)
    identity = _under(parent, "SignatureIdentifier", id=identifier)
    _under(identity, "HashOnly", "false")
    _under(identity, "DocHashOnly", "false")
    _under(identity, "DAIdentifier", _text(one.field))
    _constraints(_under(parent, "ValidationConstraintsEvaluationReport"), reasons, source.policy)
    times = _under(parent, "ValidationTimeInfo")
    _under(times, "ValidationTime", _time(source.at))
    best = _under(times, "BestSignatureTime")
    _under(best, "POETime", _time(one.proved_at or source.at))
    _under(best, "TypeOfProof", f"{URN}:poetype:validation")
    stamp = next((ids[_key(item)] for item in one.relied_on if item.kind == "timestamp"), None)
    if one.proved_at is not None and stamp is not None:
        _under(best, "POEObject", VOReference=stamp)
    _under(_under(parent, "SignersDocument"), "SignersDocumentRepresentation", VOReference=_DOCUMENT)
    if one.claimed_at is not None:
        attribute = _under(_under(parent, "SignatureAttributes"), "SigningTime", Signed="true")
        _under(attribute, "Time", _time(one.claimed_at))
    if one.signer is not None:
        information = _under(parent, "SignerInformation")
        _under(information, "SignerCertificate", VOReference=ids["certificate", one.signer.sha256])
        _under(information, "Signer", _text(one.signer.subject))
    process = _under(parent, "SignatureValidationProcess")
    _under(process, "SignatureValidationProcessID", f"{URN}:validationprocess:{_process(one)}")
    _status(_under(parent, "SignatureValidationStatus"), one, reasons, ids)


def _constraints(parent: ElementTree.Element, reasons: Iterable[Reason], policy: str) -> None:
    """§4.3.5: the policy, and each rule that spoke with what it found."""
    named = _under(parent, "SignatureValidationPolicy")
    _under(_under(named, "SignaturePolicyIdentifier"), "SignaturePolicyImplied", space=XADES)
    _under(named, "PolicyName", policy)
    _under(named, "FormalPolicyURI", f"{POLICIES}:{policy}")
    for reason in reasons:
        constraint = _under(parent, "ValidationConstraint")
        _under(constraint, "ValidationConstraintIdentifier", f"{RULES}:{reason.rule}")
        _under(_under(constraint, "ConstraintStatus"), "Status", f"{URN}:constraintStatus:applied")
        status = _under(constraint, "ValidationStatus")
        _under(status, "MainIndication", f"{URN}:mainindication:{_CONSTRAINT[reason.indication]}")
        sub = reason.sub_indication.etsi if reason.sub_indication else None
        if sub is not None:
            _under(status, "SubIndication", _sub(sub))
        data = _under(status, "AssociatedValidationReportData")
        said = _under(data, "AdditionalValidationReportData")
        _typed(said, "clause", reason.clause)
        _typed(said, "message-en", reason.message(Language.EN))
        _typed(said, "message-km", reason.message(Language.KM))


_CONSTRAINT = {
    Indication.TOTAL_PASSED: "passed",
    Indication.TOTAL_FAILED: "failed",
    Indication.INDETERMINATE: "indeterminate",
}


def _status(parent: ElementTree.Element, one: SignatureVerdict, reasons: Iterable[Reason], ids: _Ids) -> None:
    """§4.3.4: the indication, and what it rests on. What concerns the whole file counts for each signature."""
    indication, sub = worst(reasons)
    _under(parent, "MainIndication", f"{URN}:mainindication:{indication.value.lower()}")
    etsi = sub.etsi if sub else None
    if etsi is not None:
        _under(parent, "SubIndication", _sub(etsi))
    chain = [item for item in one.relied_on if item.kind in ("certificate", "anchor") and item.purpose == _who(one)]
    rest = [item for item in one.relied_on if item not in chain]
    if not chain and not rest:
        return
    data = _under(parent, "AssociatedValidationReportData")
    anchor = next((item for item in chain if item.kind == "anchor"), None)
    if anchor is not None:
        _under(data, "TrustAnchor", VOReference=ids[_key(anchor)])
    if chain:
        certificates = _under(data, "CertificateChain")
        path = [item for item in chain if item.kind == "certificate"]
        first, *above = path or chain
        _under(certificates, "SigningCertificate", VOReference=ids[_key(first)])
        for item in above:
            _under(certificates, "IntermediateCertificate", VOReference=ids[_key(item)])
        if anchor is not None:
            _under(certificates, "TrustAnchor", VOReference=ids[_key(anchor)])
    for item in rest:
        _under(data, "RelatedValidationObject", VOReference=ids[_key(item)])


def _who(one: SignatureVerdict) -> str:
    return "signer" if one.kind in SIGNED else "timestamping unit"


def _process(one: SignatureVerdict) -> str:
    """§4.3.11: Basic (EN 319 102-1 §5.3), LTVM (§5.5) or LTA (§5.6), by what was there to go by."""
    if one.proved_at is None:
        return "Basic"
    return "LTA" if one.level == "B-LTA" else "LTVM"


# --- objects ----------------------------------------------------------------------------------------------------------


def _key(item: ReliedOn) -> tuple[str, str]:
    return item.kind, item.sha256


def _objects(signatures: Iterable[SignatureVerdict]) -> dict[tuple[str, str], tuple[str, ReliedOn]]:
    found: dict[tuple[str, str], tuple[str, ReliedOn]] = {}
    for signature in signatures:
        for item in signature.relied_on:
            found.setdefault(_key(item), (f"{item.kind}-{item.sha256[:16]}", item))
        if signature.signer is not None:  # also where nothing rests on it
            signer = ReliedOn("certificate", "signer", signature.signer.subject, "document", signature.signer.sha256)
            found.setdefault(_key(signer), (f"certificate-{signer.sha256[:16]}", signer))
    return found


def _object_ids(signatures: Iterable[SignatureVerdict]) -> _Ids:
    return {key: identifier for key, (identifier, _) in _objects(signatures).items()}


def _object(parent: ElementTree.Element, identifier: str, kind: str, sha256: str) -> ElementTree.Element:
    entry = _under(parent, "ValidationObject", id=identifier)
    _under(entry, "ObjectType", f"{URN}:validationObject:{kind}")
    representation = _under(entry, "ValidationObjectRepresentation")
    _digest(_under(representation, "DigestAlgAndValue"), bytes.fromhex(sha256))
    return representation


# --- elements ---------------------------------------------------------------------------------------------------------


def _vr(name: str) -> str:
    return f"{{{VR}}}{name}"


def _under(
    parent: ElementTree.Element, name: str, text: str | None = None, *, space: str = VR, **attributes: str
) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, f"{{{space}}}{name}", attributes)
    child.text = text
    return child


def _digest(parent: ElementTree.Element, value: bytes) -> None:
    """`ds:DigestMethod` and `ds:DigestValue` in ``parent``; SHA-256."""
    _under(parent, "DigestMethod", space=DS, Algorithm=SHA256)
    _under(parent, "DigestValue", base64.b64encode(value).decode(), space=DS)


def _typed(parent: ElementTree.Element, kind: str, value: str) -> None:
    data = _under(parent, "ReportData")
    _under(data, "Type", f"urn:camtrust:verification:{kind}")
    _under(data, "Value", _text(value))


def _sub(sub: SubIndication) -> str:
    return f"{URN}:subindication:{sub.value}"


def _time(at: datetime) -> str:
    return rfc3339(at.replace(microsecond=0))


def _reference(name: str) -> str:
    """A file's name as a relative reference (RFC 3986 §4.2, §2.1)."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1].encode("utf-8", "replace")
    return "".join(chr(one) if chr(one) in _UNRESERVED else f"%{one:02X}" for one in last)


def _text(value: str) -> str:
    """Without the characters that XML 1.0 cannot carry (§2.2): names in documents are the attacker's."""
    return _NOT_XML.sub("", value)
