"""What the archive refuses.

CamTrustError
└── EvidenceNotFound    the document has no evidence record yet
"""

from __future__ import annotations

from foundation.errors import CamTrustError, Kind


class EvidenceNotFound(CamTrustError):
    code = "signing.evidence_not_found"
    kind = Kind.NOT_FOUND
