"""What is refused about held seals, and why.

CamTrustError
├── HeldSealNotFound     none that you asked for or may release
├── HeldSealClosed       released, refused or run out already
├── HeldSealOther        the digest that was named is not that of the document which waits
├── HeldSealNotMade      there is no sealed document (yet)
├── ReleaseNotSigned     what was named is not the statement of this seal, signed by the person who releases it
├── ReleaseNotAllowed    by whoever asked, or whoever the client's policy does not name
└── ReleaseNotAsked      the client's policy lets it seal at once: nothing is held
"""

from __future__ import annotations

from foundation.errors import CamTrustError, Kind


class HeldSealNotFound(CamTrustError):
    code = "signing.held_seal_not_found"
    kind = Kind.NOT_FOUND


class HeldSealClosed(CamTrustError):
    code = "signing.held_seal_closed"
    kind = Kind.CONFLICT


class HeldSealOther(CamTrustError):
    code = "signing.held_seal_other"
    kind = Kind.CONFLICT


class HeldSealNotMade(CamTrustError):
    code = "signing.held_seal_not_made"
    kind = Kind.CONFLICT


class ReleaseNotSigned(CamTrustError):
    """``held``: the id of the seal."""

    code = "signing.release_not_signed"
    kind = Kind.CONFLICT


class ReleaseNotAllowed(CamTrustError):
    code = "signing.release_not_allowed"
    kind = Kind.FORBIDDEN


class ReleaseNotAsked(CamTrustError):
    code = "signing.release_not_asked"
    kind = Kind.CONFLICT
