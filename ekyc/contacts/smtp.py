"""Sending e-mail: one message at a time over SMTP (RFC 5321) to the server that the settings name.

The server is believed by its certificate (implicit TLS, RFC 8314, or STARTTLS, RFC 3207, which is then required); in
clear only on loopback. The message says that a machine sent it (RFC 3834) and carries the notice's id as Message-ID.
"""

from __future__ import annotations

import smtplib
import ssl
from contextlib import suppress
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from ekyc.config import SmtpSettings
from ekyc.ports import Outgoing, SenderFailed, SenderRefused

_PERMANENT = 500


class SmtpSender:
    """A Sender of e-mail. Raises OSError, SSLError or ValueError when made with files that cannot be used."""

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings
        self._password = settings.password_file.read_text(encoding="utf-8").strip() if settings.password_file else None
        self._context = ssl.create_default_context(cafile=settings.ca_file)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2

    def deliver(self, notice: Outgoing, at: datetime) -> None:
        """Give one message to the server (see `ekyc.ports.Sender`)."""
        message = self._message(notice, at)
        try:
            server = self._connected()
            try:
                if self._settings.user is not None:
                    server.login(self._settings.user, self._password or "")
                server.send_message(message, self._settings.sender, [notice.address])
                with suppress(OSError, smtplib.SMTPException):  # it has the message, however it says goodbye
                    server.quit()
            finally:
                server.close()
        except smtplib.SMTPRecipientsRefused as error:
            raise _of(max(code for code, _ in error.recipients.values()), "recipient") from None
        except (smtplib.SMTPAuthenticationError, smtplib.SMTPSenderRefused) as error:
            raise SenderFailed(f"smtp-{error.smtp_code}-account") from None  # ours to set right: the notice waits
        except smtplib.SMTPNotSupportedError:
            raise SenderFailed("not-offered") from None  # STARTTLS, or a login
        except smtplib.SMTPResponseException as error:
            raise _of(error.smtp_code, "server") from None
        except ssl.SSLError:
            raise SenderFailed("tls") from None
        except (OSError, smtplib.SMTPException):  # their texts can quote addresses
            raise SenderFailed("transport") from None

    def close(self) -> None:
        """Nothing stays open."""

    def _connected(self) -> smtplib.SMTP:
        settings = self._settings
        if settings.tls == "implicit":
            return smtplib.SMTP_SSL(
                settings.host, settings.port_or_default, timeout=settings.timeout_seconds, context=self._context
            )
        server = smtplib.SMTP(settings.host, settings.port_or_default, timeout=settings.timeout_seconds)
        if settings.tls == "starttls":
            try:
                server.starttls(context=self._context)  # raises where the server does not offer it
            except BaseException:
                server.close()
                raise
        return server

    def _message(self, notice: Outgoing, at: datetime) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = self._settings.sender
        message["To"] = notice.address
        message["Subject"] = notice.subject
        message["Date"] = format_datetime(at)
        message["Message-ID"] = f"<{notice.id}@{self._settings.sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(notice.text, charset="utf-8", cte="base64")
        message["Content-Language"] = notice.language
        return message


def _of(code: int, where: str) -> SenderFailed:
    rule = f"smtp-{code}-{where}"
    return SenderRefused(rule) if code >= _PERMANENT else SenderFailed(rule)
