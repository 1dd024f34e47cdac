"""What is refused of an appeal.

EkycError
└── appeal  AppealUnknown, AppealLate, AppealMade, AppealOfficerBefore
"""

from __future__ import annotations

from ekyc.errors import EkycError
from foundation.errors import Kind


class AppealUnknown(EkycError):
    """No appeal waits here."""

    code = "ekyc.appeal_unknown"
    kind = Kind.NOT_FOUND


class AppealLate(EkycError):
    """The time for it is over."""

    code = "ekyc.appeal_late"
    kind = Kind.CONFLICT


class AppealMade(EkycError):
    """There was an appeal already, and there is one alone."""

    code = "ekyc.appeal_made"
    kind = Kind.CONFLICT


class AppealOfficerBefore(EkycError):
    """The officer had a word in this case."""

    code = "ekyc.appeal_officer_before"
    kind = Kind.FORBIDDEN
