"""What can go wrong between a client and the service.

CamTrustError
├── ServiceUnreachable    no answer, or none that can be understood
├── ServiceRefused        it answered no; ``code`` and ``detail`` are its own words
└── CredentialUnknown     it knows no such credential of this caller
"""

from __future__ import annotations

from foundation.errors import CamTrustError, Kind


class ServiceUnreachable(CamTrustError):
    code = "signing.service_unreachable"
    kind = Kind.UNAVAILABLE


class ServiceRefused(CamTrustError):
    code = "signing.service_refused"
    kind = Kind.CONFLICT


class CredentialUnknown(CamTrustError):
    code = "signing.credential_unknown"
    kind = Kind.NOT_FOUND
