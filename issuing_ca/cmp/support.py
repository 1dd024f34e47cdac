"""Support messages: what a client may ask beside certificates (RFC 9810 §5.3.19, RFC 9483 §4.3).

caCerts           the CA's certificates below the root
rootCaCert        the next key of the root, as rootCaKeyUpdate: newWithNew, newWithOld, oldWithNew
certReqTemplate   what the certificate of this very credential may say, and which keys it may be for
crlStatusList     CRLs that are newer than those the client has

What we have nothing about comes back without a value: an information type that we do not know, a root without an
update, a CRL that is no newer or not ours.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.errors import CamTrustError
from foundation.x509 import der
from foundation.x509.names import subject_name
from issuing_ca.cmp import asn1
from issuing_ca.cmp.message import CmpRefused, Failure
from issuing_ca.crl_scopes import FULL, crl_url
from issuing_ca.enrolment.model import EnrolmentCredential
from issuing_ca.est.attributes import CURVES, EC_PUBLIC_KEY, RSA_BITS
from issuing_ca.model import ROOT, Authority, AuthorityKind
from issuing_ca.service import CertificateAuthority
from issuing_ca.store import StoredCrl

_log = logging.getLogger(__name__)

_MOST_ASKED = 16  # information types, and CRLs, in one message
_MOST_OCTETS = 4 * 1024 * 1024  # of CRLs in one answer; longer ones are fetched where certificates point to
_ALG_ID, _RSA_KEY_LENGTH = "1.3.6.1.5.5.7.5.1.11", "1.3.6.1.5.5.7.5.1.12"
_SUBJECT_ALTERNATIVE_NAME = "2.5.29.17"
_SCOPE = re.compile(r"/([a-z][a-z0-9-]{0,39})/((?:delta|(?:16|256)-(?:0|[1-9][0-9]{0,2})))\.crl")


def read_information(body: bytes) -> tuple[tuple[str, bytes], ...]:
    """What a genm asks: information types, each with the DER of its value, which is read by what the type says.

    Raises CmpRefused.
    """
    try:
        tag, _, end = der.read(body)
        items = der.children(body)
        if tag != der.SEQUENCE or end != len(body):
            raise CmpRefused(Failure.BAD_DATA_FORMAT)
        if len(items) > _MOST_ASKED:
            raise CmpRefused(Failure.BAD_REQUEST)
        return tuple(_pair(item) for item in items)
    except CmpRefused:
        raise
    except Exception:  # whatever malformed octets make the readers say
        raise CmpRefused(Failure.BAD_DATA_FORMAT) from None


def _pair(item: bytes) -> tuple[str, bytes]:
    kind, *value = der.children(item)
    if item[0] != der.SEQUENCE or len(value) > 1:
        raise CmpRefused(Failure.BAD_DATA_FORMAT)
    return str(core.ObjectIdentifier.load(kind, strict=True).dotted), value[0] if value else b""


def information(
    ca: CertificateAuthority,
    authority: Authority,
    credential: EnrolmentCredential,
    asked: Sequence[tuple[str, bytes]],
) -> bytes:
    """The content of a genp: an answer to each information type that was asked for. Raises CmpRefused."""
    return der.sequence([_answered(ca, authority, credential, *one) for one in asked])


def _answered(
    ca: CertificateAuthority, authority: Authority, credential: EnrolmentCredential, kind: str, value: bytes
) -> bytes:
    if kind == asn1.CA_CERTS:
        return _said(kind, der.sequence([_der(one) for one in (authority.certificate, *authority.chain)]))
    if kind == asn1.ROOT_CA_CERT:
        return _said(asn1.ROOT_CA_KEY_UPDATE, _root_update(ca, value))
    if kind == asn1.CERT_REQ_TEMPLATE:
        return _said(kind, _template(ca, credential))
    if kind == asn1.CRL_STATUS_LIST:
        return _said(asn1.CRLS, _newer_crls(ca, value))
    return _said(kind, b"")


def _said(kind: str, value: bytes) -> bytes:
    return der.sequence([der.oid(kind), value] if value else [der.oid(kind)])


def _root_update(ca: CertificateAuthority, root: bytes) -> bytes:
    """RootCaKeyUpdateContent; nothing where the root that the client holds has no successor."""
    if root:
        try:
            x509.load_der_x509_certificate(root)
        except ValueError:
            raise CmpRefused(Failure.BAD_DATA_FORMAT) from None
    found = ca.root_updates.of(root or None)
    if found is None:
        return b""
    return der.sequence([found.new_with_new, der.explicit(0, found.new_with_old), der.explicit(1, found.old_with_new)])


def _template(ca: CertificateAuthority, credential: EnrolmentCredential) -> bytes:
    """CertReqTemplateContent: subject and names as they were verified, the key left out, and every kind of key that the
    profile certifies in keySpec."""
    parts = [der.explicit(5, subject_name(credential.subject).public_bytes())]
    if credential.dns_names:
        names = x509.SubjectAlternativeName([x509.DNSName(name) for name in credential.dns_names]).public_bytes()
        extension = der.sequence([der.oid(_SUBJECT_ALTERNATIVE_NAME), der.octet_string(names)])
        parts.append(der.implicit(9, der.sequence([extension])))
    controls = []
    for algorithm in ca.profiles[credential.profile].key.algorithms:
        if algorithm in CURVES:
            value = der.sequence([der.oid(EC_PUBLIC_KEY), der.oid(CURVES[algorithm])])
            controls.append(der.sequence([der.oid(_ALG_ID), value]))
        elif algorithm in RSA_BITS:
            controls.append(der.sequence([der.oid(_RSA_KEY_LENGTH), der.integer(RSA_BITS[algorithm])]))
    template = der.sequence(parts)
    return der.sequence([template, der.sequence(controls)] if controls else [template])


def _newer_crls(ca: CertificateAuthority, value: bytes) -> bytes:
    """SEQUENCE OF CertificateList; nothing where the client has the newest of each, or asks for none of ours."""
    try:
        asked = asn1.CrlStatusList.load(value, strict=True)
        wanted = [(one["source"], one["this_update"].native) for one in asked]
        asked.native  # noqa: B018 - see Message.content
    except Exception:  # whatever an odd structure makes the parser say
        raise CmpRefused(Failure.BAD_DATA_FORMAT) from None
    if not 1 <= len(wanted) <= _MOST_ASKED:
        raise CmpRefused(Failure.BAD_REQUEST)
    newer: dict[bytes, None] = {}
    for source, since in wanted:
        found = _crl(ca, source)
        if found is not None and (since is None or found.this_update > since):
            newer[found.crl] = None
    if sum(map(len, newer)) > _MOST_OCTETS:
        raise CmpRefused(Failure.SYSTEM_UNAVAILABLE)
    return der.sequence(newer) if newer else b""


def _crl(ca: CertificateAuthority, source: Any) -> StoredCrl | None:
    """The current CRL of a source: an address that our certificates name, or an issuer's name."""
    if source.name == "dpn":
        names = source.chosen.chosen if source.chosen.name == "full_name" else ()
        places = [_place(ca, str(name.native)) for name in names if name.name == "uniform_resource_identifier"]
    else:
        issuers = _issuers(ca)
        directory = [name.chosen.untag().dump() for name in source.chosen if name.name == "directory_name"]
        places = [(issuers[name], FULL) for name in directory if name in issuers]
    for place in places:
        if place is not None:
            try:
                return ca.lists.current(*place)
            except CamTrustError as error:  # a scope that there is none of; a root's CRL that has run out
                _log.warning("CMP: no CRL of %s: %s", place[0], error.code)
    return None


def _place(ca: CertificateAuthority, address: str) -> tuple[str, str] | None:
    names = set(_issuers(ca).values())
    public_url = ca.settings.public_url
    full = {crl_url(public_url, name): (name, FULL) for name in names}
    if address in full:
        return full[address]
    base = f"{public_url.rstrip('/')}/crl"
    found = _SCOPE.fullmatch(address.removeprefix(base)) if address.startswith(base) else None
    return (found[1], found[2]) if found is not None and found[1] in names else None


def _issuers(ca: CertificateAuthority) -> dict[bytes, str]:
    """Whoever has CRLs of ours, by name."""
    installed = ca.authorities.all()
    names = {one.root.subject.public_bytes(): ROOT for one in installed}
    return names | {
        one.certificate.subject.public_bytes(): one.name for one in installed if one.kind is not AuthorityKind.ROOT_OCSP
    }


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
