"""Trust lists of countries, ours and others', read strictly (ETSI TS 119 612 V2.1.1 to V2.3.1).

    T1  it is XML of this form: one list, of a version that we know, without duplicate Ids            TSL-FORM
    T2  exactly one enveloped XAdES signature over all of it, which verifies (`xades`)                TSL-SIGNATURE
    T3  the signer's certificate is one that was pinned for this list                                 TSL-PINNED
    T4  it is neither from the future nor past its next update                                        TSL-STALE
    T5  each service that counts has a certificate that can be read                                   TSL-FORM

Nothing is taken from a list unless somebody named it and its signer: a pointer from one list to another is not
followed. Anchors are the certification authorities that are granted or recognised now, and nobody else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from foundation.clock import parse_rfc3339
from signing import strict_xml
from signing.verify.model import Reason, SubIndication, indeterminate
from signing.verify.policy import STRICT, Policy
from signing.verify.trust_list_model import AUTHORITIES, CURRENT, Service, TrustList
from signing.verify.xades import whole_document_signer
from signing.verify.xades_form import XmlMalformed

TSL = "http://uri.etsi.org/02231/v2#"
VERSIONS = frozenset({"5", "6"})
_MOST_SERVICES = 20_000


def read_trust_list(octets: bytes, pins: frozenset[str], at: datetime, policy: Policy = STRICT) -> TrustList | Reason:
    """T1 to T5. ``pins`` by `signing.verify.bundle.read_pin`. Raises nothing for a bad list."""
    try:
        return _read(octets, pins, at, policy)
    except _Invalid as invalid:
        return invalid.reason
    except Exception:  # whatever hostile octets do to a parser
        return _form().reason


class _Invalid(ValueError):
    def __init__(self, rule: str, clause: str, key: str, sub: SubIndication, **params: str) -> None:
        super().__init__(rule)
        self.reason = indeterminate(rule, clause, key, sub, **params)


def _form() -> _Invalid:
    return _Invalid("TSL-FORM", "TS 119 612 §5.2", "trust_list_form", SubIndication.NO_CERTIFICATE_CHAIN_FOUND)


def _read(octets: bytes, pins: frozenset[str], at: datetime, policy: Policy) -> TrustList:
    try:
        root = strict_xml.parse(octets)  # T1
    except strict_xml.XmlRefused:
        raise _form() from None
    if root.tag != _tsl("TrustServiceStatusList") or strict_xml.has_duplicate_ids(root):
        raise _form()
    try:
        signer = whole_document_signer(root, policy)  # T2
    except XmlMalformed:
        signer = None
    if signer is None:
        raise _Invalid(
            "TSL-SIGNATURE", "TS 119 612 §5.7", "trust_list_signature", SubIndication.NO_CERTIFICATE_CHAIN_FOUND
        )
    fingerprint = signer.fingerprint(hashes.SHA256()).hex()
    if fingerprint not in pins:  # T3
        raise _Invalid(
            "TSL-PINNED",
            "camtrust trust list T3",
            "trust_list_not_pinned",
            SubIndication.NO_CERTIFICATE_CHAIN_FOUND,
            signer=fingerprint,
        )
    scheme = _one(root, "SchemeInformation")
    if _text(scheme, "TSLVersionIdentifier") not in VERSIONS:
        raise _form()
    issued = parse_rfc3339(_text(scheme, "ListIssueDateTime"))
    update = _one(scheme, "NextUpdate").findtext(_tsl("dateTime"))
    next_update = parse_rfc3339(update.strip()) if update else None  # none: a scheme that has ended (§5.3.15)
    if next_update is None or not issued - policy.clock_skew <= at <= next_update:  # T4
        raise _Invalid(
            "TSL-STALE",
            "TS 119 612 §5.3.15",
            "trust_list_stale",
            SubIndication.TRY_LATER,
            issued=issued.date().isoformat(),
            until=next_update.date().isoformat() if next_update else "-",
        )
    return TrustList(
        territory=_text(scheme, "SchemeTerritory"),
        operator=_name(_one(scheme, "SchemeOperatorName")),
        sequence=int(_text(scheme, "TSLSequenceNumber")),
        issued=issued,
        next_update=next_update,
        services=tuple(_services(root)),  # T5
        signer=fingerprint,
    )


def _services(root: Any) -> Iterable[Service]:
    found = list(root.iter(_tsl("ServiceInformation")))
    if len(found) > _MOST_SERVICES:
        raise _form()
    for one in found:
        kind, status = _text(one, "ServiceTypeIdentifier"), _text(one, "ServiceStatus")
        since = parse_rfc3339(_text(one, "StatusStartingTime"))
        identity = _one(one, "ServiceDigitalIdentity")
        certificates: list[x509.Certificate] = []
        for entry in identity.iter(_tsl("X509Certificate")):
            try:
                der = base64.b64decode("".join((entry.text or "").split()), validate=True)
                certificates.append(x509.load_der_x509_certificate(der))
            except (ValueError, binascii.Error):
                if kind in AUTHORITIES and status in CURRENT:
                    raise _form() from None
        yield Service(kind, _name(_one(one, "ServiceName")), status, since, tuple(certificates))


def _one(parent: Any, name: str) -> Any:
    found = parent.findall(_tsl(name))
    if len(found) != 1:
        raise _form()
    return found[0]


def _text(parent: Any, name: str) -> str:
    return str(_one(parent, name).text or "").strip()


def _name(parent: Any) -> str:
    names = parent.findall(_tsl("Name"))
    english = [one for one in names if one.get("{http://www.w3.org/XML/1998/namespace}lang") == "en"]
    return str((english or names)[0].text or "").strip()[:200]


def _tsl(name: str) -> str:
    return f"{{{TSL}}}{name}"
