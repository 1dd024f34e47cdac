"""What is refused about organisations, and why.

CamTrustError
├── AgencyNotFound            none that you represent
├── AgencyClientNotFound      none of this organisation's
├── AgencyInvalid             a name, number or list of representatives that cannot be
├── AgencyStateConflict       it is not in a state for that
├── AgencyNumberTaken         another organisation with this number was approved
├── MandateNotHeld            the signature is not this person's over exactly this mandate
├── MandateOther              the officer names another mandate than the one that stands
├── MandateNotSigned          a representative has not signed, or has no good certificate any more
├── RepresentativeWithoutCertificate   they cannot act for anybody now
├── AgencySecondOfficer       this officer approved it already: another one has to
└── AgencyOfficerInvolved     the officer represents it, or it is not known who they are as a person
"""

from __future__ import annotations

from foundation.errors import CamTrustError, Kind


class AgencyNotFound(CamTrustError):
    code = "signing.agency_not_found"
    kind = Kind.NOT_FOUND


class AgencyClientNotFound(CamTrustError):
    code = "signing.agency_client_not_found"
    kind = Kind.NOT_FOUND


class AgencyInvalid(CamTrustError):
    code = "signing.agency_invalid"
    kind = Kind.INVALID


class AgencyStateConflict(CamTrustError):
    code = "signing.agency_state_conflict"
    kind = Kind.CONFLICT


class AgencyNumberTaken(CamTrustError):
    code = "signing.agency_number_taken"
    kind = Kind.CONFLICT


class AgencySealOtherwise(CamTrustError):
    code = "signing.agency_seal_otherwise"
    kind = Kind.CONFLICT


class MandateNotHeld(CamTrustError):
    code = "signing.mandate_not_held"
    kind = Kind.INVALID


class MandateOther(CamTrustError):
    code = "signing.mandate_other"
    kind = Kind.CONFLICT


class MandateNotSigned(CamTrustError):
    code = "signing.mandate_not_signed"
    kind = Kind.CONFLICT


class RepresentativeWithoutCertificate(CamTrustError):
    code = "signing.representative_without_certificate"
    kind = Kind.FORBIDDEN


class AgencySecondOfficer(CamTrustError):
    code = "signing.agency_second_officer"
    kind = Kind.FORBIDDEN


class AgencyOfficerInvolved(CamTrustError):
    code = "signing.agency_officer_involved"
    kind = Kind.FORBIDDEN
