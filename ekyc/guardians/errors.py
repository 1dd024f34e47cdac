"""What is refused of guardians.

EkycError
└── guardians  GuardianUnneeded, GuardianInvitationUnknown, RelationUnknown, GuardianSelf, GuardianNotHolder,
               GuardianIsMinor, GuardianQuota, GuardianNotConfirmed, GuardianshipUnknown
"""

from __future__ import annotations

from ekyc.errors import EkycError
from foundation.errors import Kind


class GuardianUnneeded(EkycError):
    """No minor, a minor who has a guardian, or a policy that takes no minors."""

    code = "ekyc.guardian_unneeded"
    kind = Kind.CONFLICT


class GuardianInvitationUnknown(EkycError):
    """No such invitation, or it was used, is late, or another one came after it."""

    code = "ekyc.guardian_invitation_unknown"
    kind = Kind.NOT_FOUND


class RelationUnknown(EkycError):
    code = "ekyc.relation_unknown"
    kind = Kind.INVALID


class GuardianSelf(EkycError):
    """Nobody is their own guardian."""

    code = "ekyc.guardian_self"
    kind = Kind.FORBIDDEN


class GuardianNotHolder(EkycError):
    """The guardian's own certificate is not in force, or not of a level that the policy takes."""

    code = "ekyc.guardian_not_holder"
    kind = Kind.FORBIDDEN


class GuardianIsMinor(EkycError):
    code = "ekyc.guardian_is_minor"
    kind = Kind.FORBIDDEN


class GuardianQuota(EkycError):
    code = "ekyc.guardian_quota"
    kind = Kind.FORBIDDEN


class GuardianNotConfirmed(EkycError):
    """The base registry does not know of this relation."""

    code = "ekyc.guardian_not_confirmed"
    kind = Kind.FORBIDDEN


class GuardianshipUnknown(EkycError):
    code = "ekyc.guardianship_unknown"
    kind = Kind.NOT_FOUND
