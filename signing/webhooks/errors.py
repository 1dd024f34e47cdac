"""What webhooks refuse, and why.

CamTrustError
├── WebhookNotFound       no such address of yours
├── WebhookUrlInvalid     not an address that messages are sent to
├── TooManyWebhooks       more addresses than one client may have
└── WebhookUnreachable    the address did not answer as it should (told in the log of deliveries)
"""

from __future__ import annotations

from foundation.errors import CamTrustError, Kind


class WebhookNotFound(CamTrustError):
    code = "signing.webhook_not_found"
    kind = Kind.NOT_FOUND


class WebhookUrlInvalid(CamTrustError):
    code = "signing.webhook_url_invalid"
    kind = Kind.INVALID


class TooManyWebhooks(CamTrustError):
    """``limit`` is what one client may have."""

    code = "signing.too_many_webhooks"
    kind = Kind.CONFLICT


class WebhookUnreachable(CamTrustError):
    """``rule``: which step failed (address, connection, answer)."""

    code = "signing.webhook_unreachable"
    kind = Kind.UNAVAILABLE
