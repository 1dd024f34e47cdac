"""The two senders and their settings: TLS, logins, tokens, what a server's answer means, what is refused at start."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from camtrust.settings import load_settings
from ekyc.config import SmsSettings, SmtpSettings
from ekyc.contacts.smtp import SmtpSender
from ekyc.ports import Outgoing, SenderFailed, SenderRefused
from foundation.clock import SetClock
from tests.ekyc import notice_servers
from tests.ekyc.notice_servers import (
    gateway,
    gateway_server,
    mail_server,
    smtp_settings,
)
from tests.ekyc.story import PHONE_E164

NOTICE = Outgoing("5ec0de", "sokha.specimen@example.org", "គំរូ", "សារសម្រាប់អ្នក 123456", "km")


# --- the mail server


def test_a_message_says_what_it_is(certificate: Path, clock: SetClock) -> None:
    """From, To, Message-ID, that a machine sent it, its language; Khmer survives."""
    with mail_server(certificate) as server:
        SmtpSender(smtp_settings(server.port, certificate)).deliver(NOTICE, clock.now())
        [taken] = server.taken
    assert (taken.id, taken.address, taken.text) == (NOTICE.id, NOTICE.address, NOTICE.text)
    assert taken.raw["Auto-Submitted"] == "auto-generated"
    assert taken.raw["Content-Language"] == "km"
    assert taken.raw["Subject"] == "គំរូ"
    assert taken.raw["From"] == "notices@example.org"


def test_a_mail_server_that_is_not_believed_gets_nothing(certificate: Path, tmp_path: Path, clock: SetClock) -> None:
    """Another certificate, no STARTTLS where it is required, a wrong password: ours to set right."""
    (tmp_path / "other").mkdir()
    other = notice_servers.server_certificate(tmp_path / "other")
    with mail_server(certificate) as server, mail_server(certificate, tls="none") as clear:
        settings = smtp_settings(server.port, certificate)
        for wrong, rule in (
            (settings.model_copy(update={"ca_file": other}), "tls"),
            (settings.model_copy(update={"port": clear.port}), "not-offered"),
            (
                smtp_settings(server.port, other, password="wrong").model_copy(update={"ca_file": certificate}),
                "smtp-535-account",
            ),
        ):
            with pytest.raises(SenderFailed) as failed:
                SmtpSender(wrong).deliver(NOTICE, clock.now())
            assert (type(failed.value), failed.value.rule) == (SenderFailed, rule)
        assert server.taken == clear.taken == []
        SmtpSender(smtp_settings(clear.port, certificate, "none")).deliver(NOTICE, clock.now())
        assert len(clear.taken) == 1
    with pytest.raises(SenderFailed, match="transport"):
        SmtpSender(settings).deliver(NOTICE, clock.now())


# --- the gateway


def test_a_gateway_gets_the_body_of_the_settings(tmp_path: Path, clock: SetClock) -> None:
    """The template is filled in its strings alone: a text cannot change what surrounds it."""
    text = '", "to": "+85599999999", "x": "$id'
    notice = Outgoing("5ec0de", PHONE_E164, "", text, "km")
    template = (
        '{"message": {"recipients": ["$to"], "content": "$text"}, "ref": "ct-$id", "lang": "$language", "flash": false}'
    )
    with gateway_server() as server:
        sender = gateway(server, tmp_path, body=template)
        sender.deliver(notice, clock.now())
        sender.close()
    [(headers, body)] = server.requests
    assert body == {
        "message": {"recipients": [PHONE_E164], "content": text},
        "ref": "ct-5ec0de",
        "lang": "km",
        "flash": False,
    }
    assert headers["Idempotency-Key"] == "5ec0de"


@pytest.mark.parametrize(
    ("status", "kind"), [(429, SenderFailed), (500, SenderFailed), (404, SenderRefused), (302, SenderRefused)]
)
def test_what_a_gateway_answers(tmp_path: Path, clock: SetClock, status: int, kind: type[SenderFailed]) -> None:
    """Too many and broken: again later; anything else but 2xx is a refusal, and no redirection is followed."""
    with gateway_server() as server:
        server.status = status
        sender = gateway(server, tmp_path)
        with pytest.raises(SenderFailed) as failed:
            sender.deliver(NOTICE, clock.now())
        assert type(failed.value) is kind
        sender.close()
        wrong = gateway(server, tmp_path, token="another")
        with pytest.raises(SenderRefused, match="http-401"):
            wrong.deliver(NOTICE, clock.now())
        wrong.close()


# --- settings


def test_one_line_or_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address, the table and the environment say the same."""
    file = tmp_path / "camtrust.toml"
    file.write_text(
        '[notify]\nsmtp = "smtps://notices%40example.org@mail.example.org?password_file=/run/smtp"\n', encoding="utf-8"
    )
    line = load_settings(file).notify.smtp
    file.write_text(
        '[notify.smtp]\nhost = "mail.example.org"\nuser = "notices@example.org"\nsender = "notices@example.org"\n'
        'password_file = "/run/smtp"\n[notify.sms]\nurl = "https://gateway.example.org/sms"\n',
        encoding="utf-8",
    )
    table = load_settings(file).notify
    assert line == table.smtp
    assert line is not None
    assert line.port_or_default == 465
    monkeypatch.setenv("CAMTRUST_NOTIFY__SMTP", "smtp://mail.example.org?sender=a@example.org")
    monkeypatch.setenv("CAMTRUST_NOTIFY__SMS", "https://other.example.org/")
    changed = load_settings(None).notify
    assert changed.smtp is not None
    assert (changed.smtp.tls, changed.smtp.port_or_default) == ("starttls", 587)
    assert changed.sms is not None
    assert changed.sms.url == "https://other.example.org/"


@pytest.mark.parametrize(
    "wrong",
    [
        "http://mail.example.org",
        "smtps://user:password@mail.example.org",
        "smtps://user@mail.example.org",  # a user without a password file
        "smtps://mail.example.org?tsl=none",
        {"host": "mail.example.org", "sender": "a@example.org", "tls": "none"},
    ],
)
def test_mail_settings_that_are_refused(wrong: object) -> None:
    """No password in the settings, no clear text beyond this machine, no unknown keys."""
    with pytest.raises(ValidationError):
        TypeAdapter(SmtpSettings).validate_python(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        "http://gateway.example.org/",
        {"url": "https://gateway.example.org/", "body": '{"to": "$to"}'},
        {"url": "https://gateway.example.org/", "body": '{"to": "$to", "text": "$text $name"}'},
        {"url": "https://gateway.example.org/", "body": "to=$to&text=$text"},
    ],
)
def test_gateway_settings_that_are_refused(wrong: object) -> None:
    """No clear text beyond this machine, and a body that is JSON with what it needs."""
    with pytest.raises(ValidationError):
        TypeAdapter(SmsSettings).validate_python(wrong)
