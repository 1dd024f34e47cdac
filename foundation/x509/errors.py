"""What building and reading X.509 structures can refuse.

X509Error
├── NameInvalid          a subject attribute that no certificate of ours carries
├── ProfileInvalid       a profile file that is not one
├── ProfileMismatch      a certificate was asked for that its profile does not allow
├── TemplateRefused      a compiled template that does not give what the builder gives
├── LintFailed           a certificate breaks rules; ``findings`` names each
├── CsrInvalid           not a certification request, or without proof of possession
├── PemInvalid           not the certificate or CRL that it should be
├── CrlInvalid           a CRL was asked for that RFC 5280 does not allow
├── AlgorithmInvalid     a key or signature algorithm that we do not use
└── SignatureWrong       a signature that was just made does not verify
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cryptography import x509

from foundation.errors import CamTrustError, Kind

if TYPE_CHECKING:
    from foundation.x509.lint import Finding

UNREADABLE = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""What `cryptography` raises where extensions are asked for that cannot be read, or one that stands twice."""


class X509Error(CamTrustError):
    """Anything that building or reading X.509 structures refuses."""

    code = "foundation.x509_failed"


class NameInvalid(X509Error):
    code = "foundation.name_invalid"
    kind = Kind.INVALID


class ProfileInvalid(X509Error):
    code = "foundation.profile_invalid"
    kind = Kind.INVALID


class ProfileMismatch(X509Error):
    code = "foundation.profile_mismatch"
    kind = Kind.INVALID


class TemplateRefused(X509Error):
    """A defect of ours, met before anything is signed: the template must not be used, the builder still can be."""

    code = "foundation.template_refused"


class LintFailed(X509Error):
    """``findings`` holds every finding; the sentence names their rules."""

    code = "foundation.lint_failed"
    kind = Kind.INVALID

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__(rules=", ".join(sorted({finding.rule for finding in findings})))


class CsrInvalid(X509Error):
    code = "foundation.csr_invalid"
    kind = Kind.INVALID


class PemInvalid(X509Error):
    code = "foundation.pem_invalid"
    kind = Kind.INVALID


class CrlInvalid(X509Error):
    code = "foundation.crl_invalid"
    kind = Kind.INVALID


class AlgorithmInvalid(X509Error):
    code = "foundation.algorithm_invalid"
    kind = Kind.INVALID


class SignatureWrong(X509Error):
    code = "foundation.signature_wrong"
