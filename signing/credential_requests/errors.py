"""What is refused about requests for seal credentials, and why.

CamTrustError
├── CredentialRequestNotFound   none that you may see
├── CredentialRequestClosed     approved, refused, taken back or run out already
├── CredentialRequestWaits      the client has one that is not decided yet
├── CredentialRequestOther      the digest that was named is not that of what would be certified now
├── CredentialRequestInvalid    a reason that is no line of text
├── CredentialOfficersNeeded    no credential at once: officers approve it first
├── CredentialOfficersNotAsked  no officer has to: ask for the credential itself
├── CredentialStands            the client has one that is good
├── CredentialSecondOfficer     this officer approved it already: another one has to
└── CredentialSucceeded         its certificate ended; what was signed elsewhere with it needs the successor
"""

from __future__ import annotations

from foundation.errors import CamTrustError, Kind


class CredentialRequestNotFound(CamTrustError):
    code = "signing.credential_request_not_found"
    kind = Kind.NOT_FOUND


class CredentialRequestClosed(CamTrustError):
    code = "signing.credential_request_closed"
    kind = Kind.CONFLICT


class CredentialRequestWaits(CamTrustError):
    code = "signing.credential_request_waits"
    kind = Kind.CONFLICT


class CredentialRequestOther(CamTrustError):
    code = "signing.credential_request_other"
    kind = Kind.CONFLICT


class CredentialRequestInvalid(CamTrustError):
    code = "signing.credential_request_invalid"
    kind = Kind.INVALID


class CredentialOfficersNeeded(CamTrustError):
    code = "signing.credential_officers_needed"
    kind = Kind.CONFLICT


class CredentialOfficersNotAsked(CamTrustError):
    code = "signing.credential_officers_not_asked"
    kind = Kind.CONFLICT


class CredentialStands(CamTrustError):
    code = "signing.credential_stands"
    kind = Kind.CONFLICT


class CredentialSecondOfficer(CamTrustError):
    code = "signing.credential_second_officer"
    kind = Kind.FORBIDDEN


class CredentialSucceeded(CamTrustError):
    code = "signing.credential_succeeded"
    kind = Kind.CONFLICT
