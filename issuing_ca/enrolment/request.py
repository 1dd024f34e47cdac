"""What a PKCS#10 request of a machine brings."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.x509.errors import UNREADABLE
from issuing_ca.enrolment.model import Wanted
from issuing_ca.errors import EnrolmentRefused


def wanted_of(csr: x509.CertificateSigningRequest) -> Wanted:
    """Key, subject and names of a request that was read; everything else in it is ignored. Raises EnrolmentRefused."""
    proof = csr.public_bytes(Encoding.DER)
    try:
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Wanted(csr.public_key(), csr.subject, proof=proof)
    except UNREADABLE:
        raise EnrolmentRefused(what="extensions") from None
    if not all(isinstance(name, x509.DNSName) for name in names):
        raise EnrolmentRefused(what="subjectAltName")
    return Wanted(csr.public_key(), csr.subject, tuple(names.get_values_for_type(x509.DNSName)), proof)
