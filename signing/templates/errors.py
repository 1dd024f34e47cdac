"""What is refused about templates, and why.

CamTrustError
├── TemplateNotFound        none of this organisation's
├── TemplateInvalid         a part of it that cannot be
├── TemplateStateConflict   it is not in a state for that, or there are too many
├── TemplateOther           the officer names another digest than the one that stands
├── SealImageRefused        the image is not one that can be used
└── SealImageTaken          it is the seal of another organisation
"""

from __future__ import annotations

from foundation.errors import CamTrustError, Kind


class TemplateNotFound(CamTrustError):
    code = "signing.template_not_found"
    kind = Kind.NOT_FOUND


class TemplateInvalid(CamTrustError):
    code = "signing.template_invalid"
    kind = Kind.INVALID


class TemplateStateConflict(CamTrustError):
    code = "signing.template_state_conflict"
    kind = Kind.CONFLICT


class TemplateOther(CamTrustError):
    code = "signing.template_other"
    kind = Kind.CONFLICT


class SealImageRefused(CamTrustError):
    """``cause``: format, too-large, too-small, animated, broken or costly."""

    code = "signing.seal_image_refused"
    kind = Kind.INVALID


class SealImageTaken(CamTrustError):
    code = "signing.seal_image_taken"
    kind = Kind.CONFLICT
