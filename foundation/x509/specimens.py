"""Whether a certificate was made for trying: it says so in its name, or by a policy of the example arc."""

from __future__ import annotations

from cryptography import x509

from foundation.arc import is_example
from foundation.x509.certificate import says_specimen
from foundation.x509.names import name_pairs
from foundation.x509.status_evidence import extension_of


def is_specimen(certificate: x509.Certificate) -> bool:
    """Whether O or CN says SPECIMEN, or one of the certificate's policies lies below the example arc."""
    policies = extension_of(certificate, x509.CertificatePolicies) or ()
    named = says_specimen(name_pairs(certificate.subject))
    return named or any(is_example(one.policy_identifier.dotted_string) for one in policies)
