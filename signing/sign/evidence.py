"""What a verifier will need years from now: the status of every certificate, gathered after the signature was made.

E1  the signer's OCSP response counts, says good, and its thisUpdate is at or after the signature timestamp:
    a status from before could hide a revocation in between                               (EN 319 102-1 §5.2.6)
E2  each certificate above the signer's, and of the timestamping unit and above, but the roots, has a current
    CRL or OCSP response that says it is not revoked
E3  a revoked certificate ends the signature: nothing is handed out
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes

from foundation.clock import Clock
from foundation.x509.revocation import examine
from foundation.x509.signature_check import AlgorithmRules
from foundation.x509.status_evidence import EvidenceKind, read_evidence
from signing.errors import CertificateRevoked, StatusUnavailable, TimestampUnavailable
from signing.model import Signatory
from signing.ports import StatusSource
from signing.sign.cms import TimestampToken

MAX_CHAIN = 6
_RULES = AlgorithmRules()


@dataclass(frozen=True)
class ValidationData:
    """What goes into the document security store (EN 319 142-1 §5.4): certificates, and status in DER."""

    certificates: tuple[x509.Certificate, ...]
    ocsps: tuple[bytes, ...]
    crls: tuple[bytes, ...]


def gather(
    signatory: Signatory,
    token: TimestampToken,
    above_unit: Sequence[x509.Certificate],
    status: StatusSource,
    clock: Clock,
) -> ValidationData:
    """E1 to E3; ``above_unit``: the certificates above the timestamping unit's.

    Raises StatusUnavailable, CertificateRevoked, or TimestampUnavailable for a unit without a chain.
    """
    gathering = _Gathering(status, clock)
    gathering.signer(signatory, token.time)
    own = (signatory.certificate, *signatory.chain)
    unit = unit_chain(token, above_unit)
    for chain in (own[1:], unit):
        for certificate, issuer in pairwise(chain):
            gathering.authority(certificate, issuer)
    certificates = {one.fingerprint(hashes.SHA256()): one for one in (*own, *unit)}
    return ValidationData(tuple(certificates.values()), tuple(gathering.ocsps), tuple(gathering.crls.values()))


def check_not_revoked(signatory: Signatory, token: TimestampToken, status: StatusSource, clock: Clock) -> None:
    """E1 and E3 for the signer alone: for levels that do not carry the status."""
    _Gathering(status, clock).signer(signatory, token.time)


def unit_chain(token: TimestampToken, known: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """From the timestamping unit's certificate up to a root, out of the token's certificates and ``known`` ones."""
    pool = [*token.certificates, *known]
    chain = [token.unit]
    while not _issued(chain[-1], chain[-1]):
        above = next((one for one in pool if _issued(one, chain[-1])), None)
        if above is None or len(chain) >= MAX_CHAIN:
            raise TimestampUnavailable
        chain.append(above)
    return tuple(chain)


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if certificate.issuer != issuer.subject:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


class _Gathering:
    def __init__(self, status: StatusSource, clock: Clock) -> None:
        self._status = status
        self._clock = clock
        self.ocsps: list[bytes] = []
        self.crls: dict[x509.Name, bytes] = {}

    def signer(self, signatory: Signatory, stamped: datetime) -> None:
        octets = self._status.ocsp(signatory.certificate)
        # thisUpdate has whole seconds, a timestamp can have fractions (RFC 5280 §4.1.2.5.2, RFC 3161 §2.4.2)
        self._require(signatory.certificate, signatory.chain[0], octets, None, stamped.replace(microsecond=0))
        assert octets is not None  # noqa: S101 - _require refuses None
        self.ocsps.append(octets)

    def authority(self, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
        """A CRL where the issuer has one: it is shared by everything below that issuer. Else an OCSP response."""
        crl = self.crls.get(issuer.subject) or self._status.crl(issuer)
        octets = None if crl else self._status.ocsp(certificate)
        self._require(certificate, issuer, octets, crl, None)
        if crl:
            self.crls[issuer.subject] = crl
        elif octets:
            self.ocsps.append(octets)

    def _require(
        self,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        octets: bytes | None,
        crl: bytes | None,
        not_before: datetime | None,
    ) -> None:
        now = self._clock.now()  # read after the evidence was made: what says "from now on" counts
        offered = ((EvidenceKind.OCSP, octets), (EvidenceKind.CRL, crl))
        read = [read_evidence(kind, data, "service") for kind, data in offered if data is not None]
        findings = examine(certificate, issuer, [one for one in read if one is not None], now, _RULES)
        if findings.revoked is not None:
            raise CertificateRevoked
        for statement in findings.statements:
            current = statement.next_update is None or statement.next_update >= now
            if current and (not_before is None or statement.this_update >= not_before):
                return
        raise StatusUnavailable
