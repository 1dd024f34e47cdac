"""What is refused of vouching.

EkycError
└── vouching  VouchInvitationUnknown, VoucherSelf, VoucherNotHolder, VouchersRelated, VoucherQuota, VoucherLost,
              CommuneOther, CommuneQuota
"""

from __future__ import annotations

from ekyc.errors import EkycError
from foundation.errors import Kind


class VouchInvitationUnknown(EkycError):
    """No such invitation, or it was used or is late."""

    code = "ekyc.vouch_invitation_unknown"
    kind = Kind.NOT_FOUND


class VoucherSelf(EkycError):
    """Nobody vouches for themselves, under whatever enrolment."""

    code = "ekyc.voucher_self"
    kind = Kind.FORBIDDEN


class VoucherNotHolder(EkycError):
    """The voucher's certificate is not in force, or of a level that does not vouch: one that was vouched for."""

    code = "ekyc.voucher_not_holder"
    kind = Kind.FORBIDDEN


class VouchersRelated(EkycError):
    """One of the vouchers vouched for the other, or the person for the voucher."""

    code = "ekyc.vouchers_related"
    kind = Kind.FORBIDDEN


class VoucherQuota(EkycError):
    code = "ekyc.voucher_quota"
    kind = Kind.FORBIDDEN


class VoucherLost(EkycError):
    """A voucher's certificate is in force no more, and the officer has not spoken yet."""

    code = "ekyc.voucher_lost"
    kind = Kind.CONFLICT


class CommuneOther(EkycError):
    """The officer is of another commune than the person's."""

    code = "ekyc.commune_other"
    kind = Kind.FORBIDDEN


class CommuneQuota(EkycError):
    code = "ekyc.commune_quota"
    kind = Kind.FORBIDDEN
