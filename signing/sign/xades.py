"""XAdES signatures made (EN 319 132-1 §6): around the document, inside it, or beside it.

B-B   signed properties: SigningTime, SigningCertificateV2, DataObjectFormat, under a reference of their own
B-T   SignatureTimeStamp over the canonical ds:SignatureValue                                       §5.3
B-LT  CertificateValues, RevocationValues                                                           §5.4
B-LTA ArchiveTimeStamp over what is referenced, the signature, and the unsigned properties before   §5.5.2

Everything is canonicalised exclusively, so that a signature means the same wherever its document is put.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from foundation.clock import rfc3339
from signing import strict_xml
from signing.asic_container import ASIC, DIGEST_URIS, percent_encoded
from signing.errors import DocumentDamaged, DocumentTooLarge, FormUnknown
from signing.forms import Packaging
from signing.raw_signature import raw_ecdsa
from signing.sign.cades import issuer_serial
from signing.sign.envelope import HASH, Job
from signing.sign.evidence import ValidationData
from signing.verify.policy import STRICT
from signing.verify.xades import archive_imprint
from signing.verify.xades_form import Outside, beside
from signing.xmldsig import (
    ARCHIVE_TIMESTAMP,
    BASE64,
    COUNTERSIGNED,
    DS,
    ENVELOPED,
    EXCLUSIVE,
    LOG,
    OBJECT,
    SIGNED_PROPERTIES,
    XADES,
    XADES_141,
    canonical,
    ds,
    own_signatures,
    xades,
)

MAX_ENVELOPED = 5 * 1024 * 1024
"""Octets of a document that goes inside a signature: a single text of XML, which parsers bound."""

_DIGEST_METHODS = {name: uri for uri, name in DIGEST_URIS.items()}
_SIGNATURES = "http://www.w3.org/2001/04/xmldsig-more#"
_PSS = "http://www.w3.org/2007/05/xmldsig-more#"  # RFC 9231 §2.3.10
_PLAIN_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,200}")
_OCTETS = "application/octet-stream"


@dataclass(frozen=True)
class Xades:
    """A XAdES signature as it grows: the octets of the file, in which it is the only one but for counter signatures;
    ``outside``: what it is about beside the file; ``counter``: its Id, where it is a counter signature itself."""

    octets: bytes
    outside: Outside
    counter: str | None = None

    def timestamped(self) -> bytes:
        """The canonical ds:SignatureValue (EN 319 132-1 §5.3)."""
        return canonical(_part(strict_xml.parse(self.octets), "SignatureValue", self.counter), EXCLUSIVE)

    def with_timestamp(self, token: bytes) -> Xades:
        return self._with(_stamp("xades:SignatureTimeStamp", token))

    def with_log_proof(self, proof: bytes) -> Xades:
        return self._with(f'<log:Proof xmlns:log="{LOG}">{_base64(proof)}</log:Proof>')

    def with_evidence(self, data: ValidationData) -> Xades:
        certificates = _values(
            "EncapsulatedX509Certificate", [one.public_bytes(Encoding.DER) for one in data.certificates]
        )
        crls = _wrapped("CRLValues", _values("EncapsulatedCRLValue", data.crls))
        ocsps = _wrapped("OCSPValues", _values("EncapsulatedOCSPValue", data.ocsps))
        values = _wrapped("CertificateValues", certificates), _wrapped("RevocationValues", crls + ocsps)
        if self._is_archived():  # for the archive timestamp before it (§5.5.1)
            return self._with(f"<xades141:TimeStampValidationData>{''.join(values)}</xades141:TimeStampValidationData>")
        return self._with(values[0])._with(values[1])

    def archived(self, stamp: Callable[[bytes], bytes]) -> Xades:
        """With one more archive timestamp. ``stamp`` gives the token over a SHA-256 digest."""
        if self.counter is not None:  # the signature below is archived, and this one with it
            raise FormUnknown
        imprint = archive_imprint(strict_xml.parse(self.octets), self.outside, STRICT, EXCLUSIVE, HASH)
        return self._with(_stamp("xades141:ArchiveTimeStamp", stamp(imprint)))

    def _is_archived(self) -> bool:
        signature = _signature_in(strict_xml.parse(self.octets), self.counter)
        return next(signature.iter(ARCHIVE_TIMESTAMP), None) is not None

    def joined(self, other: Xades) -> Xades:  # noqa: ARG002
        """One file has one signature."""
        raise FormUnknown

    def encode(self) -> bytes:
        return self.octets

    def _with(self, text: str) -> Xades:
        """With one more unsigned property."""
        root = strict_xml.parse(self.octets)
        _unsigned(_signature_in(root, self.counter)).append(_element(text))
        return replace(self, octets=_file(root))


@dataclass(frozen=True)
class XadesDraft:
    """A document on its way to a XAdES signature. ``files``: what it is about, for a signature in a container."""

    job: Job
    packaging: Packaging
    files: tuple[tuple[str, bytes], ...] = ()

    def to_be_signed(self) -> bytes:
        return canonical(_part(self._tree(), "SignedInfo", self._counter()), EXCLUSIVE)

    def signed(self, signature: bytes) -> Xades:
        root = self._tree()
        public_key = self.job.signatory.certificate.public_key()
        if isinstance(public_key, ec.EllipticCurvePublicKey):
            signature = raw_ecdsa(signature, public_key)
        _part(root, "SignatureValue", self._counter()).text = _base64(signature)
        files = dict(self.files) if self.files else {self.job.name: self.job.data}
        return Xades(_file(root), beside(files), self._counter())

    def _counter(self) -> str | None:
        return self._name() if self.packaging is Packaging.COUNTER else None

    def _tree(self) -> Any:
        """The file but for the signature value. The same for the same job."""
        signature = _element(self._signature())
        if self.packaging is Packaging.ENVELOPED:
            root = strict_xml.parse(self.job.data)
            root.append(signature)
            return root
        if self.packaging is Packaging.XADES:
            root = _element("<asic:XAdESSignatures/>")
            root.append(signature)
            return root
        if self.packaging is Packaging.COUNTER:
            root = strict_xml.parse(self.job.data)
            holder = _element("<xades:CounterSignature/>")
            holder.append(signature)
            _unsigned(_signature_in(root, None)).append(holder)
            return root
        return signature

    def _signature(self) -> str:
        job, name = self.job, self._name()
        properties = self._properties(name)
        references = "".join(
            (
                *self._references(name),
                self._reference(
                    f'URI="#{name}-properties" Type="{SIGNED_PROPERTIES}"',
                    canonical(_element(properties), EXCLUSIVE),
                    EXCLUSIVE,
                ),
            )
        )
        kind = "ecdsa" if isinstance(job.signatory.certificate.public_key(), ec.EllipticCurvePublicKey) else "rsa"
        method = f"{_PSS}{job.hash_name}-rsa-MGF1" if job.pss else f"{_SIGNATURES}{kind}-{job.hash_name}"
        carried = (job.signatory.certificate, *(one for one in job.signatory.chain if one.subject != one.issuer))
        certificates = "".join(
            f"<ds:X509Certificate>{_base64(one.public_bytes(Encoding.DER))}</ds:X509Certificate>" for one in carried
        )
        inside = ""
        if self.packaging is Packaging.ENVELOPING:
            attributes = f'Id="{name}-object" MimeType="{_OCTETS}" Encoding="{BASE64}"'
            inside = f"<ds:Object {attributes}>{_base64(job.data)}</ds:Object>"
        return (
            f'<ds:Signature Id="{name}"><ds:SignedInfo>'
            f'<ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}"/>'
            f'<ds:SignatureMethod Algorithm="{method}"/>{references}</ds:SignedInfo>'
            f'<ds:SignatureValue Id="{name}-value"/>'
            f"<ds:KeyInfo><ds:X509Data>{certificates}</ds:X509Data></ds:KeyInfo>{inside}"
            f'<ds:Object><xades:QualifyingProperties Target="#{name}">{properties}</xades:QualifyingProperties>'
            f"</ds:Object></ds:Signature>"
        )

    def _name(self) -> str:
        """The signature's Id, from everything that it depends on."""
        job = self.job
        digest = hashlib.sha256(hashlib.sha256(job.data).digest())
        digest.update(job.signatory.certificate.public_bytes(Encoding.DER) + job.at.isoformat().encode())
        return f"S-{digest.hexdigest()[:32]}"

    def _references(self, name: str) -> list[str]:
        job, first = self.job, f'Id="{name}-document"'
        if self.packaging is Packaging.ENVELOPED:
            document = canonical(strict_xml.parse(job.data).getroottree(), EXCLUSIVE)
            return [self._reference(f'{first} URI=""', document, ENVELOPED, EXCLUSIVE)]
        if self.packaging is Packaging.ENVELOPING:
            return [self._reference(f'{first} URI="#{name}-object" Type="{OBJECT}"', job.data, BASE64)]
        if self.packaging is Packaging.COUNTER:
            value = _part(strict_xml.parse(job.data), "SignatureValue", None)
            about = f'URI="#{value.get("Id")}" Type="{COUNTERSIGNED}"'
            return [self._reference(about, canonical(value, EXCLUSIVE), EXCLUSIVE)]
        files = self.files or ((job.name, job.data),)
        return [
            self._reference(f'Id="{name}-document{number or ""}" URI="{percent_encoded(file)}"', octets)
            for number, (file, octets) in enumerate(files)
        ]

    def _reference(self, attributes: str, octets: bytes, *transforms: str) -> str:
        listed = "".join(f'<ds:Transform Algorithm="{one}"/>' for one in transforms)
        return (
            f"<ds:Reference {attributes}>{f'<ds:Transforms>{listed}</ds:Transforms>' if listed else ''}"
            f"{_digest(octets, self.job.hash_name)}</ds:Reference>"
        )

    def _properties(self, name: str) -> str:
        certificate = self.job.signatory.certificate
        media_type = "text/xml" if self.packaging is Packaging.ENVELOPED else _OCTETS
        count = 0 if self.packaging is Packaging.COUNTER else max(1, len(self.files))
        formats = "".join(
            f'<xades:DataObjectFormat ObjectReference="#{name}-document{number or ""}">'
            f"<xades:MimeType>{media_type}</xades:MimeType></xades:DataObjectFormat>"
            for number in range(count)
        )
        return (
            f'<xades:SignedProperties Id="{name}-properties"><xades:SignedSignatureProperties>'
            f"<xades:SigningTime>{rfc3339(self.job.at)}</xades:SigningTime>"
            f"<xades:SigningCertificateV2><xades:Cert><xades:CertDigest>"
            f"{_digest(certificate.public_bytes(Encoding.DER), 'sha256')}</xades:CertDigest>"
            f"<xades:IssuerSerialV2>{_base64(issuer_serial(certificate))}</xades:IssuerSerialV2>"
            f"</xades:Cert></xades:SigningCertificateV2></xades:SignedSignatureProperties>"
            f"{_wrapped('SignedDataObjectProperties', formats)}</xades:SignedProperties>"
        )


def check_enveloping(data: bytes, name: str) -> None:  # noqa: ARG001
    """DocumentTooLarge for what does not fit into a text of XML."""
    if len(data) > MAX_ENVELOPED:
        raise DocumentTooLarge(limit=MAX_ENVELOPED // (1024 * 1024))


def check_enveloped(data: bytes, name: str) -> None:  # noqa: ARG001
    """DocumentDamaged for what is not XML that we read, or has a signature already, which this one would break."""
    try:
        root = strict_xml.parse(data)
    except strict_xml.XmlRefused:
        raise DocumentDamaged from None
    if next(root.iter(ds("Signature")), None) is not None or strict_xml.has_duplicate_ids(root):
        raise DocumentDamaged


def check_countersigned(data: bytes, name: str) -> None:  # noqa: ARG001
    """DocumentDamaged for what is no XML with one signature, whose value can be named."""
    try:
        root = strict_xml.parse(data)
        identifier = _part(root, "SignatureValue", None).get("Id")
    except (strict_xml.XmlRefused, ValueError):
        raise DocumentDamaged from None
    if not identifier or not _PLAIN_ID.fullmatch(identifier) or strict_xml.has_duplicate_ids(root):
        raise DocumentDamaged


def _signature_in(root: Any, counter: str | None) -> Any:
    """The one signature of a file that we made, or the counter signature of this Id. ValueError."""
    if counter is None:
        (found,) = own_signatures(root)
    else:
        (found,) = (one for one in root.iter(ds("Signature")) if one.get("Id") == counter)
    return found


def _part(root: Any, name: str, counter: str | None) -> Any:
    (found,) = _signature_in(root, counter).findall(ds(name))
    return found


def _unsigned(signature: Any) -> Any:
    """The unsigned signature properties of a signature, made where there are none."""
    (qualifying,) = signature.findall(f"{ds('Object')}/{xades('QualifyingProperties')}")
    properties = qualifying.find(xades("UnsignedProperties"))
    if properties is None:
        properties = etree.SubElement(qualifying, xades("UnsignedProperties"))
        etree.SubElement(properties, xades("UnsignedSignatureProperties"))
    return properties[0]


def _element(text: str) -> Any:
    """Our own text as an element, under the prefixes that we use."""
    wrapped = f'<a xmlns:ds="{DS}" xmlns:xades="{XADES}" xmlns:xades141="{XADES_141}" xmlns:asic="{ASIC}">{text}</a>'
    element = etree.fromstring(wrapped.encode(), etree.XMLParser(resolve_entities=False, no_network=True))[0]
    own = etree.fromstring(etree.tostring(element), etree.XMLParser(resolve_entities=False, no_network=True))
    etree.cleanup_namespaces(own)
    return own


def _file(root: Any) -> bytes:
    octets: bytes = etree.tostring(root.getroottree(), xml_declaration=True, encoding="UTF-8")
    return octets


def _digest(octets: bytes, hash_name: str) -> str:
    method = f'<ds:DigestMethod Algorithm="{_DIGEST_METHODS[hash_name]}"/>'
    return f"{method}<ds:DigestValue>{_base64(hashlib.new(hash_name, octets).digest())}</ds:DigestValue>"


def _stamp(name: str, token: bytes) -> str:
    method = f'<ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}"/>'
    return f"<{name}>{method}<xades:EncapsulatedTimeStamp>{_base64(token)}</xades:EncapsulatedTimeStamp></{name}>"


def _values(name: str, items: list[bytes] | tuple[bytes, ...]) -> str:
    return "".join(f"<xades:{name}>{_base64(one)}</xades:{name}>" for one in items)


def _wrapped(name: str, text: str) -> str:
    return f"<xades:{name}>{text}</xades:{name}>" if text else ""


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
