"""What an order and its CSR may say (RFC 8555 §7.4)."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from foundation.errors import CamTrustError
from foundation.x509.csr import read_csr
from foundation.x509.errors import UNREADABLE
from issuing_ca.acme import jose
from issuing_ca.acme.errors import BadCsr, Malformed, RejectedIdentifier, UnsupportedIdentifier
from issuing_ca.acme.model import Account, Credential, Order
from issuing_ca.dns_names import MAX_NAMES, dns_name

_ONE_NAME = {"camdx-auth", "camdx-auth-ec"}


def identifiers(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_NAMES:
        raise Malformed(what="identifiers")
    names = []
    for one in value:
        if not isinstance(one, dict) or not isinstance(one.get("value"), str):
            raise Malformed(what="identifiers")
        if one.get("type") != "dns":
            raise UnsupportedIdentifier
        try:
            names.append(dns_name(one["value"]))
        except CamTrustError:
            raise RejectedIdentifier from None
    return tuple(dict.fromkeys(names))


def check_allowed(names: Sequence[str], credential: Credential) -> None:
    if credential.profile in _ONE_NAME and len(names) != 1:
        raise RejectedIdentifier
    below = tuple(f".{domain}" for domain in credential.domains)
    if credential.domains and not all(name in credential.domains or name.endswith(below) for name in names):
        raise RejectedIdentifier


def checked_csr(der: bytes, order: Order, account: Account) -> x509.CertificateSigningRequest:
    """The CSR, with exactly the names of the order and another key than the account's (RFC 8555 §7.4, §11.1)."""
    if der[:1] != b"\x30":
        raise BadCsr(reason="csr")
    try:
        csr = read_csr(der)
        names = [str(one.value).lower() for one in csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        extensions = csr.extensions
    except CamTrustError as error:
        raise BadCsr(reason=error.code) from None
    except UNREADABLE:
        raise BadCsr(reason="csr") from None
    try:
        alternative = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        alternative = x509.SubjectAlternativeName([])
    if not all(isinstance(one, x509.DNSName) for one in alternative):
        raise BadCsr(reason="subjectAltName")
    names += [name.lower() for name in alternative.get_values_for_type(x509.DNSName)]
    if set(names) != set(order.names):
        raise BadCsr(reason="subjectAltName")
    own = jose.public_key_of(account.jwk).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if csr.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == own:
        raise BadCsr(reason="key")
    return csr
