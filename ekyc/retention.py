"""What is kept no longer: rules as data, a dry run, and the job that does it.

A person is forgotten by destroying their key in the token (`EnrolmentDesk.erase`): whatever was sealed for them, here
and in every backup, can never be opened again. Check: EKYC-RETENTION.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy import Connection, Table, delete, func, select

from ekyc import store
from ekyc.casefile import CaseFiles
from ekyc.enrolment import EnrolmentDesk
from ekyc.errors import RetentionInvalid
from ekyc.model import CERTIFYING, Enrolment, State
from ekyc.ports import Cause, CertificateIssuer

_AT_ONCE = 100


class RetentionRule(BaseModel):
    """How long one thing is kept: ``what`` after ``days``; for a person, in which states."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^EKYC-RETAIN-[A-Z-]+$")]
    what: Literal["person", "messages", "challenges"]
    days: Annotated[int, Field(ge=1, le=40_000)]
    ground: Annotated[str, Field(min_length=10)]
    states: tuple[State, ...] = ()

    @model_validator(mode="after")
    def _states_for_persons(self) -> Self:
        if (self.what == "person") != bool(self.states):
            raise ValueError("a rule about persons names states, and no other rule does")
        return self


class RetentionRules(BaseModel):
    """One version of the rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    rules: Annotated[tuple[RetentionRule, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Due:
    """What a rule ends now: how many rows, or whose data."""

    rule: str
    what: str
    count: int
    enrolments: tuple[str, ...] = ()


def parse_rules(data: Mapping[str, Any]) -> RetentionRules:
    """Strict; raises RetentionInvalid."""
    try:
        return RetentionRules.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RetentionInvalid(problem=f"{where}: {first['msg']}") from error


def default_rules() -> RetentionRules:
    """The rules that this build brings."""
    return parse_rules(tomllib.loads(files("ekyc").joinpath("retention.toml").read_text(encoding="utf-8")))


class RetentionDesk:
    """Applies the rules."""

    def __init__(
        self, casefiles: CaseFiles, desk: EnrolmentDesk, issuer: CertificateIssuer, rules: RetentionRules
    ) -> None:
        self._files = casefiles
        self._desk = desk
        self._issuer = issuer
        self.rules = rules

    def look(self) -> tuple[Due, ...]:
        """The dry run: what the rules end now, rule by rule; changes nothing."""
        now = self._files.clock.now()
        with self._files.database.read() as connection:
            return tuple(self._due(connection, rule, now - timedelta(days=rule.days)) for rule in self.rules.rules)

    def apply(self) -> tuple[Due, ...]:
        """Do it, up to a hundred persons a rule; what is left is for the next time. Interrupted, it is done again."""
        now, done = self._files.clock.now(), []
        for rule in self.rules.rules:
            before = now - timedelta(days=rule.days)
            with self._files.database.read() as connection:
                due = self._due(connection, rule, before)
                people = [store.load(connection, one) for one in due.enrolments]
            for enrolment in people:
                self._forget(enrolment)
            if rule.what != "person" and due.count:
                with self._files.database.unit_of_work() as connection:
                    table, column = _rows(rule.what)
                    connection.execute(delete(table).where(table.c[column] < before))
            if due.count:
                with self._files.database.unit_of_work() as connection:
                    details = {"count": due.count, "rules": self.rules.version}
                    self._files.audit.append(connection, "service:ekyc", "ekyc.retention_applied", rule.id, details)
            done.append(due)
        return tuple(done)

    def _forget(self, enrolment: Enrolment) -> None:
        if enrolment.state in CERTIFYING and enrolment.certificate_serial is not None:
            self._issuer.revoke_citizen(enrolment.certificate_serial, Cause.SUPERSEDED)
        self._desk.erase(enrolment)

    def _due(self, connection: Connection, rule: RetentionRule, before: datetime) -> Due:
        if rule.what != "person":
            table, column = _rows(rule.what)
            query = select(func.count()).select_from(table).where(table.c[column] < before)
            return Due(rule.id, rule.what, connection.execute(query).scalar_one())
        last = (
            select(func.max(store.evidence.c.at))
            .where(store.evidence.c.enrolment_id == store.enrolments.c.id)
            .scalar_subquery()
        )
        people = (
            select(store.enrolments.c.id)
            .where(store.enrolments.c.state.in_([state.value for state in rule.states]))
            .where(store.enrolments.c.erased_at.is_(None) & (last < before))
            .order_by(store.enrolments.c.id)
            .limit(_AT_ONCE)
        )
        found = tuple(str(one) for one in connection.execute(people).scalars())
        return Due(rule.id, rule.what, len(found), found)


def _rows(what: str) -> tuple[Table, str]:
    return (store.outbox, "at") if what == "messages" else (store.challenges, "expires_at")
