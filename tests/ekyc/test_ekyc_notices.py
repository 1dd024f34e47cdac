"""Notices reach the person: one contract for the outbox alone, a real mail server and a real SMS gateway.

And what is delivered: what is tried again, when it ends, and who sees it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

import ekyc.store
from ekyc.contacts.delivery import Delivery, pause_after
from ekyc.contacts.desk import Channel
from ekyc.contacts.outbox import Outbox, Standing
from ekyc.contacts.smtp import SmtpSender
from ekyc.errors import NotifierUnavailable, OtpExpired
from foundation.db.audit import events
from tests.ekyc.notice_servers import (
    GatewayServer,
    MailServer,
    Taken,
    gateway,
    gateway_server,
    mail_server,
    smtp_settings,
)
from tests.ekyc.story import OPERATOR, PHONE_E164, World

ADDRESSES = {"sms": PHONE_E164, "email": "sokha.specimen@example.org"}


@dataclass
class Post:
    """An outbox over one kind of delivery, and what came out of it."""

    world: World
    channel: str
    outbox: Outbox
    delivery: Delivery
    server: MailServer | GatewayServer | None

    @property
    def address(self) -> str:
        return ADDRESSES[self.channel]

    def send(self, person: str, *, language: str = "en", minutes: int | None = 10) -> str:
        """Post the notice with a code; gives its id."""
        expires = None if minutes is None else self.world.clock.now() + timedelta(minutes=minutes)
        notice = self.outbox.compose(
            self.channel,
            self.address,
            "notice_contact_code",
            {"code": "271828", "minutes": "10"},
            person=person,
            language=language,
            expires_at=expires,
        )
        with self.world.database.unit_of_work() as connection:
            self.outbox.post(connection, notice)
        return notice.id

    def arrived(self) -> Sequence[Taken]:
        """What the person got, or would have."""
        self.delivery.run()
        if self.server is not None:
            return self.server.taken
        return [Taken("", one.address, one.text, one) for one in self.outbox.read(OPERATOR)]


@pytest.fixture(params=["outbox", "smtp-starttls", "smtp-implicit", "sms"])
def post(request: pytest.FixtureRequest, both_worlds: World, certificate: Path, tmp_path: Path) -> Iterator[Post]:
    """Each way of delivering, on both databases."""
    world = both_worlds
    with ExitStack() as stack:
        server: MailServer | GatewayServer | None = None
        senders = {}
        channel = "sms" if request.param in ("outbox", "sms") else "email"
        if request.param.startswith("smtp"):
            tls = request.param.removeprefix("smtp-")
            mail = server = stack.enter_context(mail_server(certificate, tls=tls))
            senders = {"email": SmtpSender(smtp_settings(mail.port, certificate, tls))}
        elif request.param == "sms":
            server = stack.enter_context(gateway_server())
            senders = {"sms": gateway(server, tmp_path)}
        delivery = Delivery(world.database, world.vault, world.audit, world.clock, senders, most=3)
        stack.callback(delivery.close)
        outbox = Outbox(world.database, world.vault, world.audit, world.clock, channels=delivery.channels)
        yield Post(world, channel, outbox, delivery, server)


# --- the contract


def test_it_arrives_once_in_the_persons_language(post: Post) -> None:
    """The person's address and language; once, however often delivery runs."""
    world = post.world
    actor, _ = world.start()
    post.send(actor.id, language="km")
    [taken] = post.arrived()
    assert taken.address == post.address
    assert "271828" in taken.text
    assert "លេខកូដ" in taken.text
    assert len(post.arrived()) == 1
    other, _ = world.start()
    post.send(other.id, language="en")
    assert any("your code is 271828" in one.text for one in post.arrived())


def test_what_is_undone_is_not_sent(post: Post) -> None:
    """A notice belongs to the transaction that it is posted in."""
    world = post.world
    actor, _ = world.start()
    notice = post.outbox.compose(
        post.channel, post.address, "notice_contact_code", {"code": "1", "minutes": "1"}, person=actor.id, language="en"
    )
    with world.database.unit_of_work() as connection, suppress(RuntimeError), connection.begin_nested():
        post.outbox.post(connection, notice)
        raise RuntimeError
    assert list(post.arrived()) == []


def test_nothing_arrives_for_a_person_who_was_erased(post: Post) -> None:
    """What was sealed for them is gone, and whoever delivers finds nothing to say."""
    world = post.world
    actor, enrolment = world.start()
    post.send(actor.id)
    world.service.enrolment.withdraw(actor, enrolment.id)
    assert list(post.arrived()) == []


def test_no_log_or_audit_record_says_to_whom_or_what(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    """Log and audit trail name the notice, the channel and the outcome."""
    world = post.world
    actor, _ = world.start()
    post.send(actor.id)
    with caplog.at_level(logging.DEBUG, logger="ekyc"):
        post.arrived()
    with world.database.read() as connection:
        trail = "".join(str(tuple(row)) for row in connection.execute(select(events)))
    for text in (caplog.text, trail):
        assert "271828" not in text
        assert post.address not in text


# --- what is delivered


@pytest.fixture(params=["smtp", "sms"])
def sent(request: pytest.FixtureRequest, world: World, certificate: Path, tmp_path: Path) -> Iterator[Post]:
    """The two real servers, on SQLite."""
    with ExitStack() as stack:
        server: MailServer | GatewayServer
        if request.param == "smtp":
            mail = server = stack.enter_context(mail_server(certificate))
            senders = {"email": SmtpSender(smtp_settings(mail.port, certificate))}
        else:
            server = stack.enter_context(gateway_server())
            senders = {"sms": gateway(server, tmp_path)}
        delivery = Delivery(world.database, world.vault, world.audit, world.clock, senders, most=3)  # type: ignore[arg-type]
        stack.callback(delivery.close)
        outbox = Outbox(world.database, world.vault, world.audit, world.clock, channels=delivery.channels)
        yield Post(world, "email" if request.param == "smtp" else "sms", outbox, delivery, server)


def down(post: Post, *, down: bool, for_good: bool = False) -> None:
    """Have the server answer that it cannot now, or will not ever."""
    if isinstance(post.server, MailServer):
        post.server.refuse = ("550 no such person" if for_good else "451 later") if down else None
    elif post.server is not None:
        post.server.status = (400 if for_good else 503) if down else 202
        if not down:
            post.server.requests.clear()


def standings(post: Post) -> list[tuple[Standing, int]]:
    """How far each notice is, as operators see it."""
    return [(one.standing, one.tries) for one in post.outbox.read(OPERATOR)]


def test_a_server_that_is_down_is_tried_again_later(sent: Post) -> None:
    """Not at once, but after a pause; then it arrives, under the id it always had."""
    actor, _ = sent.world.start()
    identity = sent.send(actor.id)
    down(sent, down=True)
    assert sent.delivery.run() == 0
    down(sent, down=False)
    assert sent.delivery.run() == 0, "too early"
    assert standings(sent) == [(Standing.WAITING, 1)]
    sent.world.clock.advance(pause_after(1))
    assert sent.delivery.run() == 1
    assert standings(sent) == [(Standing.SENT, 2)]
    assert [one.id for one in sent.server.taken] == [identity]  # type: ignore[union-attr]


def test_it_is_given_up_after_so_many_tries(sent: Post) -> None:
    """Three tries here; then nobody tries any more."""
    actor, _ = sent.world.start()
    sent.send(actor.id, minutes=None)
    down(sent, down=True)
    for _ in range(6):
        sent.delivery.run()
        sent.world.clock.advance(timedelta(hours=7))
    assert standings(sent) == [(Standing.GIVEN_UP, 3)]


def test_a_refusal_ends_it(sent: Post) -> None:
    """A server that says no for good is not asked again."""
    actor, _ = sent.world.start()
    sent.send(actor.id)
    down(sent, down=True, for_good=True)
    sent.delivery.run()
    assert standings(sent) == [(Standing.REFUSED, 1)]


def test_a_code_is_never_sent_late(sent: Post) -> None:
    """After its ten minutes it is dropped; the same notice without an end is sent."""
    actor, _ = sent.world.start()
    sent.send(actor.id)
    sent.send(actor.id, minutes=None)
    sent.world.clock.advance(timedelta(minutes=10))
    assert sent.delivery.run() == 1
    assert len(sent.server.taken) == 1  # type: ignore[union-attr]
    assert standings(sent) == [(Standing.SENT, 1)]


def test_a_crash_after_sending_sends_again_under_the_same_id(sent: Post) -> None:
    """At least once: the second is recognisable as the same; two processes at once send one."""
    actor, _ = sent.world.start()
    identity = sent.send(actor.id)
    assert sent.delivery.run() == 1
    with sent.world.database.unit_of_work() as connection:  # as it stood before it was written down
        connection.execute(update(ekyc.store.outbox).values(standing="waiting", sealed=_sealed_again(sent, actor.id)))
    assert sent.delivery.run() == 0, "the next try was put off before the first was made"
    sent.world.clock.advance(pause_after(1))
    assert sent.delivery.run() == 1
    assert [one.id for one in sent.server.taken] == [identity] * 2  # type: ignore[union-attr]


def _sealed_again(post: Post, person: str) -> bytes:
    made = post.outbox.compose(
        post.channel, post.address, "notice_contact_code", {"code": "1", "minutes": "1"}, person=person, language="en"
    )
    return made.sealed


def test_of_two_processes_one_sends(sent: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have read the same row; whoever claims it second leaves it alone."""
    actor, _ = sent.world.start()
    sent.send(actor.id)
    with sent.world.database.read() as connection:
        [row] = connection.execute(select(ekyc.store.outbox)).all()
    assert sent.delivery._try(row) is True
    assert sent.delivery._try(row) is False
    assert len(sent.server.taken) == 1  # type: ignore[union-attr]


def test_operators_do_not_see_what_is_delivered(sent: Post) -> None:
    """Before and after it was sent: how far it is, and nothing of what it says; a code that went is not kept."""
    actor, enrolment = sent.world.start()
    sent.send(actor.id)
    for _ in range(2):
        [seen] = sent.outbox.read(OPERATOR)
        assert (seen.address, seen.text, dict(seen.params)) == ("", "", {})
        sent.delivery.run()
    [message] = sent.world.service.own_data.export(actor, enrolment.id)["messages"]
    assert (message["address"], message["text"], message["params"]) == (sent.address, "", {})


def test_a_channel_that_nothing_delivers_is_refused(sent: Post) -> None:
    """Where mail is delivered and text messages are not, nobody waits for a text message."""
    other = "sms" if sent.channel == "email" else "email"
    world = sent.world
    service = world.restarted(notifier=sent.outbox)
    actor, enrolment = world.start()
    service.enrolment.consent(actor, enrolment.id, world.accept())
    with pytest.raises(NotifierUnavailable):
        service.contact.send(actor, enrolment.id, Channel(other), ADDRESSES[other])
    service.contact.send(actor, enrolment.id, Channel(sent.channel), sent.address)
    assert sent.delivery.run() == 1
    [taken] = sent.server.taken  # type: ignore[union-attr]
    code = next(word.strip(".") for word in taken.text.split() if word.strip(".").isdigit())
    assert service.contact.verify(actor, enrolment.id, code).state.value == "CONTACT_VERIFIED"


def test_a_session_does_not_show_the_code_that_was_sent(world: World) -> None:
    """Whoever names another's number could otherwise take the code from their own data, and prove it."""
    actor, enrolment = world.start()
    world.service.enrolment.consent(actor, enrolment.id, world.accept())
    world.service.contact.send(actor, enrolment.id, Channel.SMS, PHONE_E164)
    assert world.code(actor.id) not in str(world.service.own_data.export(actor, enrolment.id)["messages"])


def test_the_code_that_ran_out_is_told_so(world: World) -> None:
    """Dropping and expiry agree: at the moment the code is not sent any more it is not taken any more."""
    actor, enrolment = world.start()
    world.service.enrolment.consent(actor, enrolment.id, world.accept())
    sent = world.service.contact.send(actor, enrolment.id, Channel.SMS, PHONE_E164)
    world.clock.advance(sent.expires_at - world.clock.now())
    with pytest.raises(OtpExpired):
        world.service.contact.verify(actor, enrolment.id, world.code(actor.id))
