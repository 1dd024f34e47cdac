"""What a verifier will need years from now: the status of every certificate, gathered after the signature was made.

E1  the signer's OCSP response counts, says good, and its thisUpdate is at or after the signature timestamp:
    a status from before could hide a revocation in between                               (EN 319 102-1 §5.2.6)
E2  each certificate above the signer's, and of the timestamping unit and above, but the roots, has a current
    CRL or OCSP response that says it is not revoked
E3  a revoked certificate ends the signature: nothing is handed out
E4  what is the same for many signatures is asked for once: a CRL, and what it says, are shared for SHARED_FOR
    seconds and never past its nextUpdate; the signer's own status is never shared
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from foundation.clock import Clock
from foundation.x509.revocation import examine
from foundation.x509.signature_check import AlgorithmRules
from foundation.x509.status_evidence import EvidenceKind, Statement, read_evidence
from signing.errors import CertificateRevoked, StatusUnavailable, TimestampUnavailable
from signing.model import Signatory
from signing.ports import StatusSource
from signing.sign.signed_message import TimestampToken

MAX_CHAIN = 6
SHARED_FOR = timedelta(seconds=60)
_MAX_KNOWN = 64
_RULES = AlgorithmRules()


@dataclass(frozen=True)
class ValidationData:
    """What goes into the document security store (EN 319 142-1 §5.4): certificates, and status in DER."""

    certificates: tuple[x509.Certificate, ...]
    ocsps: tuple[bytes, ...]
    crls: tuple[bytes, ...]


class Evidence:
    """Gathers status from one source. One for the process; safe to call from many threads."""

    def __init__(self, status: StatusSource, clock: Clock) -> None:
        self._status = status
        self._clock = clock
        self._crls: dict[x509.Certificate, tuple[datetime, bytes]] = {}
        self._known: dict[tuple[x509.Certificate, x509.Certificate, bytes], tuple[Statement, ...]] = {}

    def gather(
        self, signatory: Signatory, token: TimestampToken, above_unit: Sequence[x509.Certificate]
    ) -> ValidationData:
        """E1 to E4; ``above_unit``: the certificates above the timestamping unit's.

        Raises StatusUnavailable, CertificateRevoked, or TimestampUnavailable for a unit without a chain.
        """
        ocsps = [self._signer(signatory, token.time)]
        crls: dict[x509.Certificate, bytes] = {}
        own = (signatory.certificate, *signatory.chain)
        unit = unit_chain(token.unit, (*token.certificates, *above_unit))
        for chain in (own[1:], unit):
            self._authorities(chain, ocsps, crls)
        certificates = tuple(dict.fromkeys((*own, *unit)))
        return ValidationData(certificates, tuple(dict.fromkeys(ocsps)), tuple(crls.values()))

    def gather_unit(self, unit: x509.Certificate, known: Sequence[x509.Certificate]) -> ValidationData:
        """E2 to E4 for a timestamping unit alone: what an archive timestamp needs before the next one covers it."""
        ocsps: list[bytes] = []
        crls: dict[x509.Certificate, bytes] = {}
        chain = unit_chain(unit, tuple(known))
        self._authorities(chain, ocsps, crls)
        return ValidationData(chain, tuple(dict.fromkeys(ocsps)), tuple(crls.values()))

    def _authorities(
        self, chain: Sequence[x509.Certificate], ocsps: list[bytes], crls: dict[x509.Certificate, bytes]
    ) -> None:
        for certificate, issuer in pairwise(chain):
            kind, octets = self._authority(certificate, issuer)
            if kind is EvidenceKind.CRL:
                crls[issuer] = octets  # shared by everything below that issuer
            else:
                ocsps.append(octets)

    def check_not_revoked(self, signatory: Signatory, token: TimestampToken) -> None:
        """E1 and E3 for the signer alone: for levels that do not carry the status."""
        self._signer(signatory, token.time)

    def _signer(self, signatory: Signatory, stamped: datetime) -> bytes:
        octets = self._status.ocsp(signatory.certificate)
        if octets is None:
            raise StatusUnavailable
        statements = _statements(
            signatory.certificate, signatory.chain[0], EvidenceKind.OCSP, octets, self._clock.now()
        )
        # thisUpdate has whole seconds, a timestamp can have fractions (RFC 5280 §4.1.2.5.2, RFC 3161 §2.4.2)
        self._require(statements, stamped.replace(microsecond=0))
        return octets

    def _authority(self, certificate: x509.Certificate, issuer: x509.Certificate) -> tuple[EvidenceKind, bytes]:
        """A CRL where the issuer has one. Else an OCSP response, asked for each time."""
        crl = self._crl(issuer)
        if crl is not None:
            self._require(self._by_crl(certificate, issuer, crl), None)
            return EvidenceKind.CRL, crl
        octets = self._status.ocsp(certificate)
        if octets is None:
            raise StatusUnavailable
        self._require(_statements(certificate, issuer, EvidenceKind.OCSP, octets, self._clock.now()), None)
        return EvidenceKind.OCSP, octets

    def _crl(self, issuer: x509.Certificate) -> bytes | None:
        now = self._clock.now()
        fetched, crl = self._crls.get(issuer, (None, None))
        if fetched is not None and timedelta(0) <= now - fetched < SHARED_FOR:
            return crl
        crl = self._status.crl(issuer)
        if crl is not None:
            self._crls[issuer] = (now, crl)
        return crl

    def _by_crl(self, certificate: x509.Certificate, issuer: x509.Certificate, crl: bytes) -> tuple[Statement, ...]:
        """What a CRL says about a certificate: its octets do not change, so neither does that. One that says nothing,
        because its time has not come, is asked again."""
        found = self._known.get((certificate, issuer, crl))
        if found is None:
            found = _statements(certificate, issuer, EvidenceKind.CRL, crl, self._clock.now())
            if found:
                if len(self._known) >= _MAX_KNOWN:
                    self._known.clear()
                self._known[certificate, issuer, crl] = found
        return found

    def _require(self, statements: tuple[Statement, ...], not_before: datetime | None) -> None:
        now = self._clock.now()  # read after the evidence was made: what says "from now on" counts
        if any(one.revoked_at is not None for one in statements):
            raise CertificateRevoked
        for one in statements:
            current = one.this_update <= now and (one.next_update is None or one.next_update >= now)
            if current and (not_before is None or one.this_update >= not_before):
                return
        raise StatusUnavailable


def merged(found: Sequence[ValidationData]) -> ValidationData:
    """All of it together, each piece once."""
    return ValidationData(
        tuple(dict.fromkeys(item for one in found for item in one.certificates)),
        tuple(dict.fromkeys(item for one in found for item in one.ocsps)),
        tuple(dict.fromkeys(item for one in found for item in one.crls)),
    )


def _statements(
    certificate: x509.Certificate, issuer: x509.Certificate, kind: EvidenceKind, octets: bytes, now: datetime
) -> tuple[Statement, ...]:
    read = read_evidence(kind, octets, "service")
    return examine(certificate, issuer, [read] if read is not None else [], now, _RULES).statements


@lru_cache(maxsize=64)
def unit_chain(unit: x509.Certificate, known: tuple[x509.Certificate, ...]) -> tuple[x509.Certificate, ...]:
    """From the timestamping unit's certificate up to a root, out of ``known`` ones. TimestampUnavailable: no way up."""
    chain = [unit]
    while not _issued(chain[-1], chain[-1]):
        above = next((one for one in known if _issued(one, chain[-1])), None)
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
