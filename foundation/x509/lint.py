"""The lint: holds a certificate against its profile, field by field and octet by octet where that matters.

Independent of the builder: it reads the finished DER. It does not verify the signature, so that what will be signed
can be linted under a throwaway key first. Rules stand in `foundation.x509.finding.RULES`.
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.x509 import der
from foundation.x509.certificate import key_identifier
from foundation.x509.errors import UNREADABLE, LintFailed
from foundation.x509.finding import RULES, Finding, finding
from foundation.x509.lint_extensions import lint_extensions
from foundation.x509.lint_fields import lint_fields
from foundation.x509.lint_memory import shape_of
from foundation.x509.names import same_name
from foundation.x509.profile import Profile

__all__ = ["RULES", "Finding", "LintFailed", "lint_certificate", "require_clean"]


def lint_certificate(
    certificate: x509.Certificate,
    profile: Profile,
    issuer: x509.Certificate | None = None,
    encoded: bytes | None = None,
) -> tuple[Finding, ...]:
    """Every rule that the certificate breaks; empty when it is exactly what the profile says.

    With ``issuer`` (the issuing certificate, or the certificate itself for a root) its place in the chain is held too.
    Extensions that are the same octets as those of a certificate that was clean, under the same profile and issuer,
    are not read again (`foundation.x509.lint_memory`). ``encoded``: the octets that it was read from, where they are at
    hand, so that they need not be written again.
    """
    encoded = certificate.public_bytes(Encoding.DER) if encoded is None else encoded
    tbs, algorithm, _ = der.children(encoded)
    fields = der.children(tbs)
    found = [*lint_fields(certificate, profile, fields, algorithm)]
    shape = shape_of(fields, profile, issuer) if certificate.version is x509.Version.v3 else None
    if shape is not None and shape.known:
        rest = [*_lint_within(certificate, issuer)] if issuer is not None else []
    else:
        rest = [*lint_extensions(certificate, profile)]
        if issuer is not None:
            rest += [*_lint_within(certificate, issuer), *_lint_chain(certificate, profile, issuer)]
        if shape is not None and not rest:
            shape.remember()
    return (*found, *rest)


def require_clean(
    certificate: x509.Certificate,
    profile: Profile,
    issuer: x509.Certificate | None = None,
    encoded: bytes | None = None,
) -> None:
    """LintFailed with the findings, if there are any."""
    if findings := lint_certificate(certificate, profile, issuer, encoded):
        raise LintFailed(findings)


def _lint_within(certificate: x509.Certificate, issuer: x509.Certificate) -> Iterator[Finding]:
    if (
        certificate.not_valid_before_utc < issuer.not_valid_before_utc
        or certificate.not_valid_after_utc > issuer.not_valid_after_utc
    ):
        yield finding("X509-ISSUER-VALIDITY", "it is valid outside the issuer's validity")


def _lint_chain(certificate: x509.Certificate, profile: Profile, issuer: x509.Certificate) -> Iterator[Finding]:
    if not same_name(certificate.issuer, issuer.subject):
        yield finding("X509-ISSUER-CHAIN", "the issuer name is not the issuer's subject, octet for octet")
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        yield finding("X509-ISSUER-CA", "the issuer is not a CA")
        return
    if not constraints.ca or not usage.key_cert_sign:
        yield finding("X509-ISSUER-CA", "the issuer must not sign certificates")
    if profile.ca and constraints.path_length == 0 and not same_name(certificate.issuer, certificate.subject):
        yield finding("X509-ISSUER-CA", "the issuer's path length allows no CA below it")
    if profile.authority_key_identifier is not None:
        yield from _lint_authority_key(certificate, issuer)


def _lint_authority_key(certificate: x509.Certificate, issuer: x509.Certificate) -> Iterator[Finding]:
    try:
        authority = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return  # told by X509-EXTENSION-SET or X509-EXTENSION-PARSE
    try:
        expected = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        expected = key_identifier(issuer.public_key())
    if authority.key_identifier != expected:
        yield finding("X509-ISSUER-CHAIN", "the authority key identifier is not the issuer's subject key identifier")
