"""Candidate certification paths: from a certificate upwards by name (RFC 5280 §6.1, RFC 4158), bounded.

The pool is searched, never trusted: what comes out are guesses for `foundation.x509.path` to validate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.x509.name_matching import NameKey, issuer_key, subject_key


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
        max_candidates: int,
    ) -> None:
        self._left = max_candidates
        self._depth = max_depth
        self.exhausted = False
        self.highest: x509.Certificate | None = None
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
        if len(path) >= self._depth:
            self.exhausted = True
            return
        self.highest = path[-1]
        wanted = issuer_key(path[-1])
        if not wanted:
            return
        for anchor in self._anchors.get(wanted, ()):
            if self._spend() and anchor.certificate not in path:
                yield (*path, anchor.certificate), anchor
        for certificate in sorted(self._pool.get(wanted, ()), key=lambda one: not _identifiers_agree(path[-1], one)):
            if certificate not in path and self._spend():
                yield from self._above((*path, certificate))

    def _spend(self) -> bool:
        self._left -= 1
        if self._left < 0:
            self.exhausted = True
        return self._left >= 0


def _identifiers_agree(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        wanted = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        return bool(wanted == issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest)
    except Exception:  # not there, twice there, or not to be decoded: no preference
        return False
