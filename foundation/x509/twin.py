"""Twin roots: two roots of different kinds, bound by one statement that is signed with both keys.

A root key signs certificates and CRLs only, and its token looks at what it signs. So the statement travels inside a
certificate: a critical extension that nobody processes (`oids.STATEMENT`) holds it, which keeps the certificate from
being used as one (RFC 5280 §4.2). Each root issues one, over the other root's key. The statement is canonical JSON,
the same octets in both:

    {"en": text, "format": "camtrust-twin-roots-1", "km": text, "roots": [SHA-256 of either certificate, ascending]}
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from foundation.canonical import canonical_json
from foundation.x509 import der, oids
from foundation.x509.algorithms import verify
from foundation.x509.errors import UNREADABLE, SignatureWrong

FORMAT = "camtrust-twin-roots-1"
_UTF8_STRING = 0x0C


def twin_statement(one: x509.Certificate, other: x509.Certificate, en: str, km: str) -> bytes:
    """The statement that two roots stand side by side, in the words given."""
    roots = sorted(root.fingerprint(hashes.SHA256()).hex() for root in (one, other))
    return canonical_json({"format": FORMAT, "roots": roots, "en": en, "km": km})


def statement_of(certificate: x509.Certificate) -> bytes | None:
    """The octets of the statement that a certificate carries; None when it carries none."""
    try:
        value = certificate.extensions.get_extension_for_oid(oids.STATEMENT).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return None
    octets = value.value if isinstance(value, x509.UnrecognizedExtension) else b""
    try:
        tag, start, end = der.read(octets)
    except ValueError:
        return None
    return octets[start:end] if tag == _UTF8_STRING and end == len(octets) else None


def twins_problem(
    by_one: x509.Certificate, by_other: x509.Certificate, roots: Sequence[x509.Certificate]
) -> str | None:
    """Why the two certificates do not bind two of ``roots``; None when they do.

    Both carry the same canonical statement, it names exactly two of the roots, each is signed with the key of one of
    them, and holds the key of the other.
    """
    statement = statement_of(by_one)
    if statement is None or statement != statement_of(by_other):
        return "the two do not carry the same statement"
    try:
        content = json.loads(statement)
        named = content["roots"]
        if content["format"] != FORMAT or canonical_json(content) != statement or named != sorted(set(named)):
            return "it is not a statement in its one form"
    except (ValueError, TypeError, KeyError, RecursionError):
        return "it is not a statement in its one form"
    by_fingerprint = {root.fingerprint(hashes.SHA256()).hex(): root for root in roots}
    if len(named) != 2 or not set(named) <= set(by_fingerprint):
        return "it does not name two of these roots"
    pair = [by_fingerprint[name] for name in named]
    if not any(_binds(by_one, by_other, first, second) for first, second in (pair, pair[::-1])):
        return "it is not signed by both roots, each over the other's key"
    return None


def _binds(
    by_first: x509.Certificate, by_second: x509.Certificate, first: x509.Certificate, second: x509.Certificate
) -> bool:
    return _signed(by_first, first, second) and _signed(by_second, second, first)


def _signed(statement: x509.Certificate, by: x509.Certificate, over: x509.Certificate) -> bool:
    if statement.issuer != by.subject or statement.public_key() != over.public_key():
        return False
    try:
        verify(by.public_key(), statement.signature, statement.tbs_certificate_bytes)  # type: ignore[arg-type]
    except SignatureWrong:
        return False
    return True
