"""Signed files that are not PDF, opened again so that their signatures can grow: the envelopes that they were made of.

    CAdES   a message in DER, with one signer or several; the document inside or given
    XAdES   a file with one signature
    JAdES   JSON with one signature or several; members of etsiU in the clear are written anew as base64url, which is
            possible as long as no archive timestamp is over them
    ASiC    a container with one file of signatures

What is read here was verified before; a form that cannot grow is an ExtensionRefused with the rule of verification.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from foundation.base64url import encoded
from signing import jws, strict_xml
from signing.asic_container import ASIC_S, Container, ContainerRefused, is_container, read, strict_base64
from signing.cms_parts import ARCHIVE_TIMESTAMP_V3, CmsParts
from signing.errors import ExtensionRefused, LevelNotAllowed
from signing.forms import Form, Format, Packaging
from signing.model import Level
from signing.sign.asic import Asic
from signing.sign.cades import Cades
from signing.sign.envelope import Envelope
from signing.sign.jades import Jades
from signing.sign.xades import Xades
from signing.verify.cms import CmsMalformed, read_messages
from signing.verify.signature_value import loaded
from signing.verify.xades_form import Outside, beside, plain
from signing.xmldsig import ARCHIVE_TIMESTAMP, ds, own_signatures, xades

MAX_CONTAINER = 256 * 1024 * 1024


@dataclass(frozen=True)
class Reopened:
    """One signature: its envelope, the certificates that it carries, and the tokens of its signature timestamps and of
    its archive timestamps, DER. ``highest``: no higher level can be made of it."""

    envelope: Envelope
    certificates: tuple[x509.Certificate, ...]
    stamps: tuple[bytes, ...]
    archive: tuple[bytes, ...]
    highest: Level = Level.B_LTA


def reopen(data: bytes, detached: bytes | None) -> list[Reopened] | None:
    """The signatures of a file, in the order of their verdicts; None for a file of no format that grows here.

    ``detached``: what they are about, where that is not inside. Raises ExtensionRefused, LevelNotAllowed.
    """
    try:
        if is_container(data):
            return _container(data)
        if strict_xml.looks_like_xml(data):
            outside: Outside = lambda _: None if detached is None else plain(detached)  # noqa: E731
            return [_xml(data, outside)]
        if data[:1] == b"\x30":
            return _cms(data, detached)
        return _json(data)
    except ContainerRefused as error:
        raise ExtensionRefused(rule=error.rule) from None


def _cms(data: bytes, detached: bytes | None) -> list[Reopened]:
    try:
        parts, messages = CmsParts.split(data), read_messages(data)
    except (CmsMalformed, ValueError):
        raise ExtensionRefused(rule="CMS-FORM") from None
    content = messages[0].content if messages[0].content is not None else detached
    if content is None:
        raise ExtensionRefused(rule="CMS-DETACHED")
    return [
        Reopened(Cades(one, content), message.certificates, message.timestamp_tokens, one.of_kind(ARCHIVE_TIMESTAMP_V3))
        for one, message in zip(parts, messages, strict=True)
    ]


def _xml(data: bytes, outside: Outside) -> Reopened:
    try:
        found = own_signatures(strict_xml.parse(data))
    except strict_xml.XmlRefused:
        raise ExtensionRefused(rule="XML-FORM") from None
    if len(found) != 1:
        raise ExtensionRefused(rule="XML-FORM")
    (signature,) = found
    certificates = (*signature.iter(ds("X509Certificate")), *signature.iter(xades("EncapsulatedX509Certificate")))
    return Reopened(
        Xades(data, outside),
        loaded(_octets(certificates)),
        _tokens_of(signature, xades("SignatureTimeStamp")),
        _tokens_of(signature, ARCHIVE_TIMESTAMP),
    )


def _tokens_of(signature: Any, name: str) -> tuple[bytes, ...]:
    stamps = (token for one in signature.iter(name) for token in one.iter(xades("EncapsulatedTimeStamp")))
    return tuple(_octets(stamps))


def _octets(elements: Iterable[Any]) -> list[bytes]:
    try:
        return [strict_base64(one.text) for one in elements]
    except ValueError:
        raise ExtensionRefused(rule="XML-FORM") from None


def _json(data: bytes) -> list[Reopened] | None:
    if data.lstrip()[:1] != b"{":
        if data.count(b".") == 2 and data[:2] == b"ey":
            raise LevelNotAllowed(level=Level.B_T.value)  # the compact form has no place for a timestamp
        return None
    try:
        value = jws.read(data)
        if "payload" not in value:
            return None
        entries = value.get("signatures", [value])
        return [_signature(str(value["payload"]), one) for one in entries]
    except (jws.JsonRefused, KeyError, TypeError, AttributeError):
        raise ExtensionRefused(rule="JWS-FORM") from None


def _signature(payload: str, entry: dict[str, Any]) -> Reopened:
    told = entry.get("header", {}).get("etsiU", [])
    members = [jws.member(one) for one in told]
    if any("arcTst" in one for one in members) and not all(isinstance(one, str) for one in told):
        raise jws.JsonRefused
    unsigned = tuple(one if isinstance(one, str) else encoded(jws.write(one)) for one in told)
    header = jws.read(jws.decode(entry["protected"]))
    values = [item["x509Cert"]["val"] for one in members for item in (*one.get("xVals", ()), *_later(one))]
    return Reopened(
        Jades(str(entry["protected"]), payload, str(entry["signature"]), compact=False, unsigned=unsigned),
        loaded(jws.decode_base64(one) for one in (*header.get("x5c", ()), *values)),
        _tokens(members, "sigTst"),
        _tokens(members, "arcTst"),
    )


def _later(member: dict[str, Any]) -> list[Any]:
    found: list[Any] = member.get("tstVD", {}).get("xVals", [])
    return found


def _tokens(members: Iterable[dict[str, Any]], name: str) -> tuple[bytes, ...]:
    return tuple(jws.decode_base64(token["val"]) for one in members for token in one.get(name, {}).get("tstTokens", ()))


def _container(data: bytes) -> list[Reopened]:
    container = read(data, MAX_CONTAINER)
    manifests = [one for one in container.meta if "ASiCManifest" in one]
    names = [one for one in container.meta if one not in manifests]
    if len(names) != 1 or len(container.meta) != 1 + len(manifests) or len(manifests) > 1:
        raise ExtensionRefused(rule="ASIC-SIGNATURE")
    (name,) = names
    simple = container.media_type == ASIC_S
    form = Form(
        Format.ASIC_S if simple else Format.ASIC_E, Packaging.XADES if name.endswith(".xml") else Packaging.CADES
    )
    files = {one: container.content(one) for one in container.names if one != name}
    if form.packaging is Packaging.XADES:
        inside = [_xml(container.signature_file(name), beside({one: files[one] for one in container.documents}))]
    else:
        inside = _cms(container.signature_file(name), files[manifests[0] if manifests else _only(container)])
    highest = Level.B_LT if form == Form(Format.ASIC_E, Packaging.CADES) else Level.B_LTA
    return [
        Reopened(
            Asic(container.media_type, files, name, one.envelope), one.certificates, one.stamps, one.archive, highest
        )
        for one in inside
    ]


def _only(container: Container) -> str:
    if len(container.documents) != 1:
        raise ExtensionRefused(rule="ASIC-SIMPLE")
    return container.documents[0]
