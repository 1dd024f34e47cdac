"""Candidate certification paths: from a certificate upwards (RFC 5280 §6.1, RFC 4158), bounded.

A step goes to a certificate of the issuer's name whose key made the signature; each signature is checked once, and the
checks are counted. The pool is searched, never trusted: what comes out is for `foundation.x509.path` to validate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.x509.name_matching import NameKey, issuer_key, subject_key
from foundation.x509.signature_check import AlgorithmRules, Outcome, check_named


@dataclass(frozen=True)
class TrustAnchor:
    """A certificate that is trusted because somebody said so; ``source`` says who (``bundle``, ``hand``)."""

    certificate: x509.Certificate
    source: str


class PathSearch:
    """Candidate paths, depth first, anchors before the pool, within the limits."""

    def __init__(
        self,
        pool: Sequence[x509.Certificate],
        anchors: Sequence[TrustAnchor],
        max_depth: int,
        max_checks: int,
        algorithms: AlgorithmRules,
    ) -> None:
        self._left = max_checks
        self._depth = max_depth
        self._algorithms = algorithms
        self._links: dict[tuple[x509.Certificate, x509.Certificate], Outcome] = {}
        self.exhausted = False
        self.dead_end: tuple[x509.Certificate, Outcome | None] | None = None  # the first, and why
        self._anchors: dict[NameKey, list[TrustAnchor]] = {}
        self._pool: dict[NameKey, list[x509.Certificate]] = {}
        for anchor in anchors:
            self._anchors.setdefault(subject_key(anchor.certificate), []).append(anchor)
        seen: set[bytes] = set()
        for certificate in pool:
            octets = certificate.public_bytes(Encoding.DER)
            if octets not in seen:
                seen.add(octets)
                self._pool.setdefault(subject_key(certificate), []).append(certificate)

    def candidates(self, target: x509.Certificate) -> Iterator[tuple[tuple[x509.Certificate, ...], TrustAnchor]]:
        for anchor in self._anchors.get(subject_key(target), ()):
            if anchor.certificate == target:
                yield (target,), anchor
        yield from self._above((target,))

    def _above(self, path: tuple[x509.Certificate, ...]) -> Iterator[tuple[tuple[x509.Certificate, ...], TrustAnchor]]:
        wanted = issuer_key(path[-1])
        if len(path) >= self._depth or self._left <= 0:
            self.exhausted = True
            return
        stepped = False
        for anchor in self._anchors.get(wanted, ()) if wanted else ():
            if anchor.certificate not in path and self._leads(path[-1], anchor.certificate):
                stepped = True
                yield (*path, anchor.certificate), anchor
        above = self._pool.get(wanted, ()) if wanted else ()
        for certificate in sorted(above, key=lambda one: not _identifiers_agree(path[-1], one)):
            if certificate not in path and self._leads(path[-1], certificate):
                stepped = True
                yield from self._above((*path, certificate))
        if not stepped and self.dead_end is None:
            self.dead_end = (path[-1], None)

    def _leads(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        outcome = self.link(certificate, issuer)
        if outcome is not Outcome.VALID and (self.dead_end is None or self.dead_end[1] is None):
            self.dead_end = (certificate, outcome)
        return outcome is Outcome.VALID

    def link(self, certificate: x509.Certificate, issuer: x509.Certificate) -> Outcome:
        """Whether the key of ``issuer`` signed ``certificate``, by an algorithm that counts. Remembered."""
        known = self._links.get((certificate, issuer))
        if known is None:
            self._left -= 1
            if self._left < 0:
                self.exhausted = True
                return Outcome.REFUSED
            known = check_certificate(certificate, issuer, self._algorithms)
            self._links[certificate, issuer] = known
        return known


def check_certificate(certificate: x509.Certificate, issuer: x509.Certificate, rules: AlgorithmRules) -> Outcome:
    """Whether the key of ``issuer`` signed ``certificate``. Raises nothing."""
    try:
        return check_named(
            issuer.public_key(),
            certificate.signature_algorithm_oid.dotted_string,
            certificate.signature_hash_algorithm,
            certificate.signature_algorithm_parameters,
            certificate.signature,
            certificate.tbs_certificate_bytes,
            rules,
        )
    except Exception:  # a key or algorithm that cannot be read: cryptography raises several kinds
        return Outcome.REFUSED


def _identifiers_agree(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        wanted = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        return bool(wanted == issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest)
    except Exception:  # not there, twice there, or not to be decoded: no preference
        return False
