"""What was linted before, octet for octet: extensions that hundreds of thousands of certificates share are read once.

The lint of extensions, and of a certificate's place under its issuer, is a function of octets, profile and issuer. Of
two certificates under one profile and issuer, whose issuer names and extensions are the same octets but for the subject
key identifier, both are clean or neither is, where each has the identifier of its own key. That identifier is computed
here from the certificate's own key; certificates of CAs, and those with a subject alternative name, are read whole
each time. What is kept came of the full lint and nothing else, and only where that found nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from foundation.x509 import der
from foundation.x509.certificate import key_identifier_of
from foundation.x509.profile import Profile

_MOST = 1024  # shapes: a handful for each profile and issuer, more with partitioned CRLs
_SAN = der.oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
_SKI = der.oid(ExtensionOID.SUBJECT_KEY_IDENTIFIER)
_KEY_INFO = 6  # the place of subjectPublicKeyInfo behind the version

_Key = tuple[int, int, bytes, bytes, bytes]

_clean: dict[_Key, Shape] = {}


@dataclass(frozen=True)
class Shape:
    """What a certificate shares with others, and under what."""

    profile: Profile
    issuer: x509.Certificate | None
    key: _Key

    @property
    def known(self) -> bool:
        """Whether a certificate of this shape was read whole, and nothing was found."""
        kept = _clean.get(self.key)  # it holds its profile and issuer, so that no other object has taken their place
        return kept is not None and kept.profile is self.profile and kept.issuer is self.issuer

    def remember(self) -> None:
        """A certificate of this shape was read whole, and nothing was found."""
        if len(_clean) >= _MOST:
            _clean.clear()
        _clean[self.key] = self


def shape_of(fields: Sequence[bytes], profile: Profile, issuer: x509.Certificate | None) -> Shape | None:
    """The shape of a certificate by the fields of its TBSCertificate (version 3); None for one that is read whole.

    That is where the identifier of its own key does not stand in its extensions exactly once as a subject key
    identifier (not critical) is written.
    """
    if len(fields) != 8 or profile.ca or _SAN in fields[7]:
        return None
    identifier = key_identifier_of(fields[_KEY_INFO])
    own = der.sequence((_SKI, der.octet_string(der.octet_string(identifier))))
    before, found, after = fields[7].partition(own)
    if not found or _SKI in before or _SKI in after:
        return None
    return Shape(profile, issuer, (id(profile), id(issuer), fields[3], before, after))
