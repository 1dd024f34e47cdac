"""Proving a contact: a six-digit code, sent by SMS or e-mail, good once, for a short time, for a few tries.

The code is kept as an HMAC under a key that the token guards, with a salt of its own, so that a copy of the database
gives nothing to search. It proves a contact and is never an authenticator. Check: EKYC-CONTACT-OTP.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import phonenumbers
from sqlalchemy import Row

from ekyc import store
from ekyc.casefile import CaseFiles
from ekyc.contacts import proved as proved_contacts
from ekyc.contacts.telling import Telling
from ekyc.errors import (
    ContactInvalid,
    OtpExpired,
    OtpMissing,
    OtpThrottled,
    OtpUsed,
    OtpWrong,
    ResendThrottled,
    WrongState,
)
from ekyc.evidence.record import EvidenceKind, latest
from ekyc.model import TAKES_CONTACT, Enrolment, State, standing
from ekyc.ports import Notice, Notifier, Sessions
from foundation.db.engine import compare_and_set
from foundation.http.actor import Actor

TEMPLATE, TEMPLATE_SHARED = "notice_contact_code", "notice_contact_code_shared"
_TAKES = (*TAKES_CONTACT, State.ACTIVATED)  # a further contact, of which the ones before are told
_DIGITS = 6
_HOUR = timedelta(hours=1)
_EMAIL = re.compile(r"^[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$")
_KHMER_DIGITS = str.maketrans({chr(0x17E0 + n): str(n) for n in range(10)})
_MOBILE = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE)


class Channel(StrEnum):
    """How a person is reached."""

    SMS = "sms"
    EMAIL = "email"


@dataclass(frozen=True)
class Sent:
    """A code is on its way; it is good until ``expires_at``, and another may be asked for at ``resend_at``."""

    enrolment: Enrolment
    expires_at: datetime
    resend_at: datetime


def canonical_address(channel: Channel, address: str) -> str:
    """E.164 for a phone (Cambodia where no country is named), lower case for e-mail. Raises ContactInvalid."""
    if channel is Channel.EMAIL:
        email = address.strip().lower()
        if len(email) > 254 or not _EMAIL.match(email):
            raise ContactInvalid
        return email
    try:
        number = phonenumbers.parse(address, "KH")
    except phonenumbers.NumberParseException:
        raise ContactInvalid from None
    if not phonenumbers.is_valid_number(number) or phonenumbers.number_type(number) not in _MOBILE:
        raise ContactInvalid
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


class ContactDesk:
    """Sends codes and checks them."""

    def __init__(self, files: CaseFiles, notifier: Notifier, sessions: Sessions, telling: Telling) -> None:
        self._files = files
        self._notifier = notifier
        self._sessions = sessions
        self._telling = telling

    def send(
        self, actor: Actor, enrolment_id: str, channel: Channel, address: str, *, if_version: int | None = None
    ) -> Sent:
        """Send a new code; the one before it is dead. Raises ContactInvalid, ResendThrottled, NotifierUnavailable."""
        files, settings = self._files, self._files.settings
        enrolment = files.begin(actor, enrolment_id, *_TAKES, if_version=if_version)
        self._not_proved_yet(enrolment)
        canonical = canonical_address(channel, address)
        now = files.clock.now()
        challenge_id, salt = files.new_id("CHL-"), files.randomness.bytes(16)
        code = _code(files.randomness.bytes(16))
        index = files.index.of("contact", channel.value.encode(), canonical.encode())
        expires_at = now + timedelta(minutes=settings.otp_minutes)
        row = {
            "id": challenge_id,
            "enrolment_id": enrolment.id,
            "channel": channel.value,
            "address_index": index,
            "address_sealed": files.vault.seal(enrolment.person_id, "contact", canonical.encode()),
            "salt": salt,
            "code_hash": self._hash(challenge_id, salt, code),
            "sent_at": now,
            "expires_at": expires_at,
            "tries": 0,
            "used_at": None,
        }
        with files.database.read() as connection:
            shared = bool(proved_contacts.others(connection, index, enrolment.id))
        named = {"enrolment": enrolment.id[-4:]} if shared else {}  # so that those who share it know whose code it is
        notice = self._notifier.compose(
            channel.value,
            canonical,
            TEMPLATE_SHARED if shared else TEMPLATE,
            {"code": code, "minutes": str(settings.otp_minutes), **named},
            person=enrolment.person_id,
            language=enrolment.language,
            expires_at=expires_at,
        )
        with files.step(enrolment) as connection:
            self._throttle(store.last_challenge(connection, enrolment.id), now)
            if store.challenges_since(connection, now - _HOUR, enrolment.id, index) >= settings.sends_per_hour:
                raise ResendThrottled(retry_after=_HOUR.total_seconds())
            connection.execute(store.challenges.insert().values(row))
            self._notifier.post(connection, notice)
            enrolment = files.touch(connection, enrolment)
            details = {"channel": channel.value}
            files.audit.append(connection, str(actor), "ekyc.contact_code_sent", enrolment.id, details)
        return Sent(enrolment, expires_at, now + timedelta(seconds=settings.resend_seconds))

    def verify(
        self, actor: Actor, enrolment_id: str, code: str, *, shared: bool = False, if_version: int | None = None
    ) -> Enrolment:
        """Check a code; where it is right every session of the person ends, and the caller opens a new one for them.

        ``shared``: the person says that others use this contact too. Raises OtpMissing, OtpUsed, OtpExpired,
        OtpThrottled or OtpWrong (says how many tries left); with the right code ContactShared, ContactFull.
        """
        files = self._files
        enrolment = files.of_person(actor, enrolment_id)
        with files.database.read() as connection:
            challenge = store.last_challenge(connection, enrolment.id)
        if challenge is not None and challenge.used_at is not None:
            raise OtpUsed  # before the state is looked at: a replay is told as one
        files.check(enrolment, *_TAKES, if_version=if_version)
        if challenge is None:
            raise OtpMissing
        now = files.clock.now()
        if now >= challenge.expires_at:
            raise OtpExpired
        if challenge.tries >= files.settings.otp_tries:
            raise OtpThrottled(retry_after=files.settings.resend_seconds)
        given = code.translate(_KHMER_DIGITS)
        if not hmac.compare_digest(self._hash(challenge.id, challenge.salt, given), challenge.code_hash):
            self._count_wrong(actor, enrolment, challenge)
        return self._verified(actor, enrolment, challenge, now, shared)

    def _verified(
        self, actor: Actor, enrolment: Enrolment, challenge: Row[Any], now: datetime, shared: bool
    ) -> Enrolment:
        files, index = self._files, bytes(challenge.address_index)
        shared_notices = self._told_to_others(enrolment, index, shared)
        address = files.vault.open(enrolment.person_id, "contact", bytes(challenge.address_sealed)).decode()
        content = {"channel": challenge.channel, "address": address, "challenge": challenge.id}
        sealed = files.seal(enrolment, EvidenceKind.CONTACT, content)
        further = enrolment.state is State.ACTIVATED
        notices = self._telling.everyone(enrolment, "notice_contact_added") if further else ()
        # First, so that whoever is killed here leaves no session of before behind with a contact that is proved.
        self._sessions.close_all(enrolment.person_id)
        with files.step(enrolment) as connection:
            compare_and_set(connection, store.challenges, _unchanged(challenge), {"used_at": now})
            proved_contacts.note(connection, index, enrolment.id, shared=shared, at=now)
            self._telling.post(connection, shared_notices)
            facts = {"channel": str(challenge.channel)}
            ledger = files.record(connection, enrolment, EvidenceKind.CONTACT, "verified", sealed, str(actor), facts)
            self._telling.post(connection, notices)
            if further or enrolment.state is State.NEEDS_INPUT:  # it stands where it stood
                return files.touch(connection, enrolment)
            return files.advance(connection, enrolment, standing(ledger), str(actor))

    def _told_to_others(self, enrolment: Enrolment, index: bytes, shared: bool) -> tuple[Notice, ...]:
        """Notices to everybody who proved this contact before, by all of their contacts. ContactShared, ContactFull."""
        files = self._files
        with files.database.read() as connection:
            known = [store.load(connection, one) for one in proved_contacts.others(connection, index, enrolment.id)]
        limit = files.settings.contact_persons
        if known and not shared:
            raise proved_contacts.ContactShared
        if len(known) >= limit:
            raise proved_contacts.ContactFull(limit=limit)
        return tuple(notice for one in known for notice in self._telling.everyone(one, "notice_contact_shared"))

    def _not_proved_yet(self, enrolment: Enrolment) -> None:
        """NEEDS_INPUT comes before and behind the proof of the contact: one proof is enough. Raises WrongState."""
        if enrolment.state is State.ACTIVATED:
            return
        last = latest(self._files.ledger(enrolment), EvidenceKind.CONTACT)
        if last is not None and last.outcome == "verified":
            raise WrongState(enrolment.state.value, [one.value for one in enrolment.next])

    def _count_wrong(self, actor: Actor, enrolment: Enrolment, challenge: Row[Any]) -> None:
        """Two that guess at once: one is counted, the other meets StaleWrite and learns nothing."""
        left = self._files.settings.otp_tries - challenge.tries - 1
        with self._files.database.unit_of_work() as connection:
            compare_and_set(connection, store.challenges, _unchanged(challenge), {"tries": challenge.tries + 1})
            self._files.audit.append(connection, str(actor), "ekyc.contact_code_wrong", enrolment.id, {"left": left})
        raise OtpWrong(left=left)

    def _throttle(self, last: Row[Any] | None, now: datetime) -> None:
        if last is None:
            return
        wait = (last.sent_at - now).total_seconds() + self._files.settings.resend_seconds
        if wait > 0:
            raise ResendThrottled(retry_after=wait)

    def _hash(self, challenge_id: str, salt: bytes, code: str) -> bytes:
        return self._files.index.of("otp", challenge_id.encode(), salt, code.encode())


def _code(octets: bytes) -> str:
    return str(int.from_bytes(octets, "big") % 10**_DIGITS).zfill(_DIGITS)


def _unchanged(challenge: Row[Any]) -> Any:
    columns = store.challenges.c
    return (columns.id == challenge.id) & (columns.tries == challenge.tries) & columns.used_at.is_(None)
