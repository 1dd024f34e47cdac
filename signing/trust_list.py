"""The trust list: which services of a country are recognised, as XML that other countries' validators read.

ETSI TS 119 612 V2.3.1 (TSLVersionIdentifier 6), with an enveloped XAdES B-B signature by the trust-list operator
(§5.7). The list is made from values alone: the same contents give the same octets. Texts are in English, as §5.1.4
asks, and in Khmer.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from foundation.clock import rfc3339
from foundation.x509.algorithms import algorithm_identifier, signature_hash
from signing.errors import KeyUnsupported
from signing.forms import Packaging
from signing.model import Signatory
from signing.sign.envelope import Job
from signing.sign.xades import XadesDraft

TSL = "http://uri.etsi.org/02231/v2#"
_XML = "http://www.w3.org/XML/1998/namespace"
_TAG = "http://uri.etsi.org/19612/TSLTag"
_BASE = "http://uri.etsi.org/TrstSvc"
VERSION = 6
HISTORY_DAYS = 65535  # §5.3.12: history is never removed

RECOGNISED = f"{_BASE}/TrustedList/Svcstatus/recognisedatnationallevel"  # §5.5.4
DEPRECATED = f"{_BASE}/TrustedList/Svcstatus/deprecatedatnationallevel"
CA, TSA, OCSP = f"{_BASE}/Svctype/CA/PKC", f"{_BASE}/Svctype/TSA", f"{_BASE}/Svctype/Certstatus/OCSP"  # §5.5.1

Texts = Mapping[str, str]  # language (RFC 5646) → text; "en" is always there


@dataclass(frozen=True)
class ListedService:
    """A service (§5.5): its type's URI, its name, the certificate that it is known by, its status and since when."""

    kind: str
    name: Texts
    certificate: x509.Certificate
    status: str
    since: datetime


@dataclass(frozen=True)
class Address:
    """§5.3.5: lines of a postal address in English, and electronic ones (a mailto: and a web page)."""

    street: str
    locality: str
    country: str
    electronic: tuple[str, ...]


@dataclass(frozen=True)
class TrustListContents:
    """What a list says. Times are aware, whole seconds; it is updated within six months (§5.3.15)."""

    territory: str
    sequence: int
    issued: datetime
    next_update: datetime
    operator: Texts
    address: Address
    scheme: Texts
    information: str  # URI about the scheme
    notice: Texts
    provider: Texts
    services: tuple[ListedService, ...]
    location: str  # URI where the list is published


def unsigned_list(contents: TrustListContents) -> bytes:
    """The list before it is signed. ValueError for one without services, or whose update is more than 6 months off."""
    if not contents.services or not 0 < (contents.next_update - contents.issued).days <= 183:
        raise ValueError("a list has services, and is updated within six months")
    root = etree.Element(_tsl("TrustServiceStatusList"), nsmap={None: TSL}, TSLTag=_TAG, Id="TrustList")
    _scheme(_under(root, "SchemeInformation"), contents)
    provider = _under(_under(root, "TrustServiceProviderList"), "TrustServiceProvider")
    information = _under(provider, "TSPInformation")
    _texts(_under(information, "TSPName"), contents.provider)
    trade = _under(information, "TSPTradeName")  # §5.4.2: an official identifier; ours has none but its name
    _texts(trade, contents.provider)
    _address(_under(information, "TSPAddress"), contents.address)
    _uris(_under(information, "TSPInformationURI"), contents.information)
    services = _under(provider, "TSPServices")
    for one in contents.services:
        _service(_under(_under(services, "TSPService"), "ServiceInformation"), one)
    octets: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return octets


def signed_list(contents: TrustListContents, certificate: x509.Certificate, sign: Callable[[bytes], bytes]) -> bytes:
    """The list, signed. ``sign`` gives the signature over octets, by the hash of the certificate's key (ECDSA: DER)."""
    chosen = signature_hash(certificate.public_key())
    if chosen is None:
        raise KeyUnsupported
    signatory = Signatory("trust-list-operator", certificate, ())
    algorithm = algorithm_identifier(certificate.public_key())
    job = Job(unsigned_list(contents), "list.xml", signatory, chosen.name, contents.issued, algorithm)
    draft = XadesDraft(job, Packaging.ENVELOPED)
    return draft.signed(sign(draft.to_be_signed())).encode()


def _scheme(parent: Any, contents: TrustListContents) -> None:
    """§5.3, in the order of the schema."""
    territory = contents.territory
    _under(parent, "TSLVersionIdentifier", str(VERSION))
    _under(parent, "TSLSequenceNumber", str(contents.sequence))
    _under(parent, "TSLType", f"{_BASE}/TrustedList/TSLType/{territory}list")
    _texts(_under(parent, "SchemeOperatorName"), contents.operator)
    _address(_under(parent, "SchemeOperatorAddress"), contents.address)
    _texts(_under(parent, "SchemeName"), {key: f"{territory}:{text}" for key, text in contents.scheme.items()})
    _uris(_under(parent, "SchemeInformationURI"), contents.information)
    _under(parent, "StatusDeterminationApproach", f"{_BASE}/TrustedList/StatusDetn/{territory}determination")
    _uris(_under(parent, "SchemeTypeCommunityRules"), contents.information)
    _under(parent, "SchemeTerritory", territory)
    notice = _under(parent, "PolicyOrLegalNotice")
    for language, text in contents.notice.items():
        _under(notice, "TSLLegalNotice", text).set(f"{{{_XML}}}lang", language)
    _under(parent, "HistoricalInformationPeriod", str(HISTORY_DAYS))
    _under(parent, "ListIssueDateTime", rfc3339(contents.issued))
    _under(_under(parent, "NextUpdate"), "dateTime", rfc3339(contents.next_update))
    _under(_under(parent, "DistributionPoints"), "URI", contents.location)


def _service(parent: Any, one: ListedService) -> None:
    _under(parent, "ServiceTypeIdentifier", one.kind)
    _texts(_under(parent, "ServiceName"), one.name)
    identity = _under(parent, "ServiceDigitalIdentity")
    der = base64.b64encode(one.certificate.public_bytes(Encoding.DER)).decode()
    _under(_under(identity, "DigitalId"), "X509Certificate", der)
    _under(_under(identity, "DigitalId"), "X509SubjectName", one.certificate.subject.rfc4514_string())
    _under(parent, "ServiceStatus", one.status)
    _under(parent, "StatusStartingTime", rfc3339(one.since))


def _address(parent: Any, address: Address) -> None:
    postal = _under(_under(parent, "PostalAddresses"), "PostalAddress")
    postal.set(f"{{{_XML}}}lang", "en")
    _under(postal, "StreetAddress", address.street)
    _under(postal, "Locality", address.locality)
    _under(postal, "CountryName", address.country)
    electronic = _under(parent, "ElectronicAddress")
    for uri in address.electronic:
        _under(electronic, "URI", uri).set(f"{{{_XML}}}lang", "en")


def _texts(parent: Any, texts: Texts) -> None:
    for language, text in sorted(texts.items()):
        _under(parent, "Name", text).set(f"{{{_XML}}}lang", language)


def _uris(parent: Any, *uris: str) -> None:
    for uri in uris:
        _under(parent, "URI", uri).set(f"{{{_XML}}}lang", "en")


def _under(parent: Any, name: str, text: str | None = None) -> Any:
    child = etree.SubElement(parent, _tsl(name))
    child.text = text
    return child


def _tsl(name: str) -> str:
    return f"{{{TSL}}}{name}"
