"""Who delivers notices: the senders that the settings name."""

from __future__ import annotations

from camtrust.errors import SettingsInvalid
from camtrust.settings import Settings
from ekyc.contacts.delivery import Delivery
from ekyc.contacts.sms_gateway import SmsGateway
from ekyc.contacts.smtp import SmtpSender
from ekyc.ports import Sender
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.vault import Vault


def notice_delivery(settings: Settings, database: Database, vault: Vault, trail: AuditTrail, clock: Clock) -> Delivery:
    """Delivery by mail server and gateway, where they are named. SettingsInvalid: files that cannot be used."""
    senders: dict[str, Sender] = {}
    notify = settings.notify
    if notify.smtp is not None:
        try:
            senders["email"] = SmtpSender(notify.smtp)
        except (OSError, ValueError):  # SSLError is an OSError
            raise SettingsInvalid(
                file="-", key="notify.smtp", problem="password_file or ca_file cannot be used"
            ) from None
    if notify.sms is not None:
        try:
            senders["sms"] = SmsGateway(notify.sms)
        except (OSError, ValueError):
            raise SettingsInvalid(file="-", key="notify.sms", problem="token_file cannot be read") from None
    return Delivery(database, vault, trail, clock, senders, most=notify.tries)
