"""What is refused about digests that are to be sealed.

CamTrustError
└── DigestsInvalid    their number, their length, or an algorithm that the key does not have
"""

from __future__ import annotations

from foundation.errors import CamTrustError, Kind


class DigestsInvalid(CamTrustError):
    code = "signing.digests_invalid"
    kind = Kind.INVALID
