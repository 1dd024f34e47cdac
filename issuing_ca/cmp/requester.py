"""Who sends a PKIMessage, proved by its protection: a MAC under a credential's secret, or a signature."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from foundation.clock import Clock
from foundation.randomness import Randomness
from issuing_ca.cmp import asn1
from issuing_ca.cmp.message import CmpRefused, Failure, Message, verify
from issuing_ca.cmp.password_mac import MacProtection, check_mac
from issuing_ca.enrolment.model import Applicant
from issuing_ca.enrolment.service import Enrolment
from issuing_ca.model import Authority, serial_text

TRANSACTION = timedelta(days=1)


@dataclass(frozen=True)
class Asked:
    """A request whose protection is right; ``mac`` where it was a secret's."""

    applicant: Applicant
    transaction: bytes
    expires: datetime  # until when a certificate can be confirmed
    mac: MacProtection | None

    @property
    def reference(self) -> str:
        return self.applicant.credential.reference

    @property
    def signer(self) -> str:
        """The serial number of the certificate that signed; empty for a MAC."""
        own = self.applicant.certificate
        return serial_text(own.serial_number) if own is not None else ""


class Requesters:
    """Tells who sent a message."""

    def __init__(self, enrolment: Enrolment, clock: Clock, randomness: Randomness) -> None:
        self._enrolment = enrolment
        self._clock = clock
        self._randomness = randomness

    def of(self, message: Message, ca: Authority) -> Asked:
        """Who sent it, of those whom this CA knows. Raises CmpRefused."""
        header = message.header
        if header["pvno"].native not in (2, 3):
            raise CmpRefused(Failure.UNSUPPORTED_VERSION)
        transaction, nonce = header["transaction_id"].native, header["sender_nonce"].native
        if transaction is None or not 16 <= len(transaction) <= 64:
            raise CmpRefused(Failure.BAD_DATA_FORMAT)
        if nonce is None or not 16 <= len(nonce) <= 64:
            raise CmpRefused(Failure.BAD_SENDER_NONCE)
        algorithm = header["protection_alg"]
        if algorithm.native is None or message.protection is None:
            raise CmpRefused(Failure.BAD_MESSAGE_CHECK)
        if algorithm["algorithm"].dotted in (asn1.PBM, asn1.PBMAC1):
            return self._by_mac(message, transaction, ca)
        return self._by_signature(message, transaction, ca, algorithm["algorithm"].dotted)

    def _by_mac(self, message: Message, transaction: bytes, ca: Authority) -> Asked:
        try:
            reference = (message.header["sender_kid"].native or b"").decode("ascii")
        except UnicodeDecodeError:
            raise CmpRefused(Failure.BAD_MESSAGE_CHECK) from None
        found = self._enrolment.secret_of(reference, ca.name)
        if found is None:
            raise CmpRefused(Failure.BAD_MESSAGE_CHECK)
        check_mac(message, found[1])
        by = message.header["protection_alg"]["algorithm"].dotted
        protection = MacProtection(reference, found[1], self._randomness.bytes(16), by)
        return Asked(Applicant(found[0]), transaction, self._clock.now() + TRANSACTION, protection)

    def _by_signature(self, message: Message, transaction: bytes, ca: Authority, algorithm: str) -> Asked:
        """The first certificate that comes along is the signer's (RFC 9483 §3.3)."""
        try:
            certificate = x509.load_der_x509_certificate(message.certificates[0])
            public_key = certificate.public_key()
        except Exception:  # cryptography raises ValueError, UnsupportedAlgorithm and, for odd keys, others
            raise CmpRefused(Failure.SIGNER_NOT_TRUSTED) from None
        applicant = self._enrolment.by_certificate(certificate, ca.name)
        if applicant is None:
            raise CmpRefused(Failure.SIGNER_NOT_TRUSTED)
        if not verify(public_key, algorithm, message.protection or b"", message.protected):
            raise CmpRefused(Failure.BAD_MESSAGE_CHECK)
        return Asked(applicant, transaction, self._clock.now() + TRANSACTION, None)
