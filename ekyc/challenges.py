"""Challenges of ours that a chip or a person answers: random, bound to one enrolment and purpose, good once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select

from ekyc.casefile import CaseFiles
from ekyc.evidence.errors import (
    ChallengeUnknown,
)
from ekyc.evidence.tables import evidence_challenges
from ekyc.model import Enrolment
from foundation.db.engine import StaleWrite, compare_and_set


class Purpose(StrEnum):
    """What a challenge is for: an answer to one is none to another."""

    CHIP = "chip"
    CHIP_AGREEMENT = "chip-agreement"
    LIVENESS = "liveness"


# Whoever knows these octets can answer: they are stored sealed. The others are told to whoever is asked.
_SECRET = frozenset({Purpose.CHIP_AGREEMENT})


@dataclass(frozen=True)
class Challenge:
    """A challenge; ``nonce`` was drawn here."""

    id: str
    nonce: bytes = field(repr=False)
    expires_at: datetime


class Challenges:
    """Draws challenges, and takes them out of use before anything is judged by them."""

    def __init__(self, files: CaseFiles) -> None:
        self._files = files

    def draw(self, enrolment: Enrolment, purpose: Purpose, octets: int) -> Challenge:
        """A new one. Earlier ones of the enrolment and purpose are good no more."""
        files = self._files
        now = files.clock.now()
        challenge = Challenge(
            files.new_id("CHL-"),
            files.randomness.bytes(octets),
            now + timedelta(seconds=files.settings.challenge_seconds),
        )
        table, kept = evidence_challenges, challenge.nonce
        if purpose in _SECRET:
            kept = files.vault.seal(enrolment.person_id, _sealed_for(challenge.id), kept)
        with files.database.unit_of_work() as connection:
            open_ones = (table.c.enrolment_id == enrolment.id) & (table.c.purpose == purpose.value)
            connection.execute(table.update().where(open_ones & table.c.used_at.is_(None)).values(used_at=now))
            connection.execute(
                table.insert().values(
                    id=challenge.id,
                    enrolment_id=enrolment.id,
                    purpose=purpose.value,
                    nonce=kept,
                    expires_at=challenge.expires_at,
                    used_at=None,
                )
            )
        return challenge

    def redeem(self, enrolment: Enrolment, purpose: Purpose, challenge_id: str) -> Challenge:
        """Take one out of use, for good, whatever comes of it. Raises ChallengeUnknown for one that is not open: never
        drawn, of another enrolment or purpose, used, or too old.
        """
        files, table = self._files, evidence_challenges
        now = files.clock.now()
        this = (
            (table.c.id == challenge_id)
            & (table.c.enrolment_id == enrolment.id)
            & (table.c.purpose == purpose.value)
            & table.c.used_at.is_(None)
        )
        try:
            with files.database.unit_of_work() as connection:
                compare_and_set(connection, table, this, {"used_at": now})
                row = connection.execute(select(table).where(table.c.id == challenge_id)).one()
        except StaleWrite:
            raise ChallengeUnknown from None
        if now >= row.expires_at:
            raise ChallengeUnknown
        nonce = bytes(row.nonce)
        if purpose in _SECRET:
            nonce = files.vault.open(enrolment.person_id, _sealed_for(row.id), nonce)
        return Challenge(row.id, nonce, row.expires_at)


def _sealed_for(challenge_id: str) -> str:
    return f"challenge:{challenge_id}"
