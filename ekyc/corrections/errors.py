"""What is refused of a correction.

EkycError
└── correction  CorrectionUnknown, CorrectionOtherPerson, CorrectionNothing, CorrectionHeld, CorrectionUnconfirmed,
                CorrectionUnmet, CorrectionSameOfficer, CorrectionOfficerBefore
"""

from __future__ import annotations

from ekyc.errors import EkycError
from foundation.errors import Kind


class CorrectionUnknown(EkycError):
    """No correction waits, or none was ever asked for."""

    code = "ekyc.correction_unknown"
    kind = Kind.NOT_FOUND


class CorrectionOtherPerson(EkycError):
    """The document is not the person's: another number, issuer, sex or nationality."""

    code = "ekyc.correction_other_person"
    kind = Kind.FORBIDDEN


class CorrectionNothing(EkycError):
    """Name and birth are as they were."""

    code = "ekyc.correction_nothing"
    kind = Kind.CONFLICT


class CorrectionHeld(EkycError):
    """New factors do not sign yet, and correct nothing either."""

    code = "ekyc.correction_held"
    kind = Kind.FORBIDDEN


class CorrectionUnconfirmed(EkycError):
    """The base registry does not say the same."""

    code = "ekyc.correction_unconfirmed"
    kind = Kind.CONFLICT


class CorrectionUnmet(EkycError):
    """With these data the person would not be approved at their level: a minor, or somebody without a document."""

    code = "ekyc.correction_unmet"
    kind = Kind.CONFLICT


class CorrectionSameOfficer(EkycError):
    """One officer alone corrects nothing."""

    code = "ekyc.correction_same_officer"
    kind = Kind.FORBIDDEN


class CorrectionOfficerBefore(EkycError):
    """The officer spoke for this person before."""

    code = "ekyc.correction_officer_before"
    kind = Kind.FORBIDDEN
