"""Whose turn a case is: an officer drawn at random, so that nobody chooses whom they judge.

Check: EKYC-REVIEW-ASSIGNMENT. A turn ends with the officer's word, or when its time passes; then another officer is
drawn. Nobody is the second officer behind themselves, and nobody has a turn at their own case.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from ekyc.casefile import CaseFiles
from ekyc.errors import NotAssigned
from ekyc.model import REVIEWABLE, Enrolment
from ekyc.ports import Officers
from ekyc.review import store as seats
from ekyc.review.store import DONE, OPEN, RELEASED, Seat
from foundation.http.actor import Actor

_AT_ONCE = 200


class Assignments:
    """Draws officers; ``own`` tells whether a case is an officer's own."""

    def __init__(self, files: CaseFiles, officers: Officers, own: Callable[[str, Enrolment], bool]) -> None:
        self._files = files
        self._officers = officers
        self._own = own

    def turn_of(self, enrolment: Enrolment) -> str | None:
        """The officer whose turn it is, drawn now if it was nobody's; None while there is no officer for it."""
        files, now = self._files, self._files.clock.now()
        with files.database.read() as connection:
            taken = seats.seats_of(connection, enrolment.id)
        active = self._officers.reviewers()
        current = next((one for one in taken if one.state == OPEN), None)
        if current is not None and current.due_at > now and current.officer_id in active:
            return current.officer_id
        spoken = {one.officer_id for one in taken if one.state == DONE}
        late = {one.officer_id for one in taken if one.state != DONE}
        able = [one for one in active if one not in spoken and not self._own(one, enrolment)]
        drawn = self._draw([one for one in able if one not in late] or able)
        if current is None and drawn is None:
            return None
        with files.database.unit_of_work() as connection:
            if current is not None:
                seats.end_seat(connection, enrolment.id, current.seat, RELEASED)
            if drawn is not None:
                due = now + timedelta(hours=files.settings.review_turn_hours)
                if seats.take_seat(connection, enrolment.id, Seat(len(taken) + 1, drawn, due, OPEN), now):
                    files.audit.append(connection, "service:ekyc", "ekyc.review_assigned", enrolment.id, {"to": drawn})
            taken = seats.seats_of(connection, enrolment.id)
        return next((one.officer_id for one in taken if one.state == OPEN), None)

    def check(self, officer: Actor, enrolment: Enrolment) -> None:
        """Raises NotAssigned unless it is this officer's turn."""
        if self.turn_of(enrolment) != officer.id:
            raise NotAssigned

    def draw_for_all(self) -> None:
        """See to it that every case that waits is somebody's turn."""
        with self._files.database.read() as connection:
            found = seats.waiting(connection, REVIEWABLE, self._files.clock.now(), _AT_ONCE)
        for enrolment in found:
            self.turn_of(enrolment)

    def _draw(self, officers: list[str]) -> str | None:
        """One of them at random; the excess of 64 bits over so few is nothing that shows."""
        if not officers:
            return None
        return sorted(officers)[int.from_bytes(self._files.randomness.bytes(8), "big") % len(officers)]
