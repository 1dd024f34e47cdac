"""What verification refuses to the person who asks. A bad document is never one of these: it gets a verdict.

CamTrustError
├── BundleNotMade          contents that no reader of a bundle would take
├── FileUnreadable         a file that cannot be opened or read
├── AnchorUnreadable       --trust-anchor names a file without a certificate
└── PinUnreadable          a fingerprint that is not one
"""

from __future__ import annotations

from foundation.errors import CamTrustError, Kind


class BundleNotMade(CamTrustError):
    """``rule`` is the check of `signing.verify.bundle` that it would not pass."""

    code = "signing.bundle_not_made"
    kind = Kind.INVALID


class FileUnreadable(CamTrustError):
    """``name`` as the caller gave it."""

    code = "signing.verify_file_unreadable"
    kind = Kind.INVALID


class AnchorUnreadable(CamTrustError):
    """``name`` as the caller gave it."""

    code = "signing.verify_anchor_unreadable"
    kind = Kind.INVALID


class PinUnreadable(CamTrustError):
    code = "signing.verify_pin_unreadable"
    kind = Kind.INVALID
