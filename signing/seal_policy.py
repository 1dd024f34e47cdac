"""What an agency's client may seal: levels, formats, sizes, hours and how many a day. Data, kept for each client.

    SP-LEVEL   the level is one of those allowed; B-B only where the policy says so (sub-decree 246 asks for the time)
    SP-FORM    the format is one of those allowed
    SP-SIZE    the document is not larger than allowed
    SP-HOURS   it is within the client's hours, by the clock of Cambodia
    SP-PARALLEL  where the policy asks for a signature beside, it is by a credential that is fit for it: the client's,
               usable, an ML-DSA key, the same subject; and the format has a place for two
    SP-QUOTA   the day's number is not used up; days are Cambodia's too
    SP-APPEARANCE  what is seen of the seal is a template that the policy names, or `plain`, where it names any
    SP-RELEASE whoever is named in ``releasers`` releases each seal, and never the client that asked (`signing.held`):
               clients and persons by their ids, or ``representatives``, who are those of the client's organisation

A client without a policy of its own has :data:`DEFAULT`. What is refused is not signed, and is in the audit trail.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import Connection

from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.http.actor import Actor
from signing import seal_store
from signing.errors import (
    CredentialNotFound,
    CredentialNotUsable,
    SealNeedsRelease,
    SealNotAllowed,
    SealPolicyInvalid,
)
from signing.forms import Form
from signing.model import Credential, Level, Signatory
from signing.sign.token_signer import is_ml_dsa

PHNOM_PENH = timezone(timedelta(hours=7), "Asia/Phnom_Penh")  # no summer time
ROLE = "sign-seal"
"""The role of clients that seal."""

REPRESENTATIVES = "representatives"
_FORMATS = frozenset({"pades", "cades", "xades", "jades", "asic-e", "asic-s"})
_ACTOR = re.compile(r"[!-~]{1,200}")
_MOST_RELEASERS = 20
_APPEARANCE, _MOST_NAMES = re.compile(r"[a-z0-9][a-z0-9-]{0,39}"), 50
_T_AND_ABOVE = tuple(level.value for level in Level if level is not Level.B_B)


@dataclass(frozen=True)
class SealPolicy:
    """``levels`` and ``formats`` by name; ``most_octets`` and ``per_day`` None: no limit of its own; seals are made
    from ``first_hour`` on and before ``last_hour`` (0 to 24). ``parallel``: the credential by which every seal is
    made a second time, beside the first (hybrid seals), by its id; None: they are not. ``rsa_pss``: RSA keys sign with
    PSS and not with PKCS#1 v1.5. ``appearances``: names of templates (`signing.templates`) and ``plain``, what is drawn
    without one; None: any of the client's organisation. A seal that is not seen is none of them."""

    levels: tuple[str, ...] = _T_AND_ABOVE
    formats: tuple[str, ...] = tuple(sorted(_FORMATS))
    most_octets: int | None = None
    per_day: int | None = None
    first_hour: int = 0
    last_hour: int = 24
    releasers: tuple[str, ...] = ()
    parallel: str | None = None
    rsa_pss: bool = False
    appearances: tuple[str, ...] | None = None

    def json(self) -> dict[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def broken(self, level: Level, form: Form, size: int | None, now: datetime) -> str | None:
        """The rule that a seal would break, but for the quota; None where it may be made. ``size`` None: not known."""
        if level.value not in self.levels:
            return "SP-LEVEL"
        if str(form).split("/")[0] not in self.formats:
            return "SP-FORM"
        if self.parallel is not None and not form.parallel:
            return "SP-PARALLEL"
        if self.most_octets is not None and (size is None or size > self.most_octets):
            return "SP-SIZE"
        if not self.first_hour <= now.astimezone(PHNOM_PENH).hour < self.last_hour:
            return "SP-HOURS"
        return None

    def against(self, level: Level, form: Form, size: int | None, now: datetime, *, held: bool = False) -> str | None:
        """The rule against a seal that is asked for, but for the quota. ``held``: it waits for whoever releases it."""
        rule = self.broken(level, form, size, now)
        return "SP-RELEASE" if rule is None and self.releasers and not held else rule


DEFAULT = SealPolicy()


def read_policy(value: dict[str, Any]) -> SealPolicy:
    """A policy from JSON or options. Raises SealPolicyInvalid for a key that is unknown or a value that cannot be."""
    known = {one.name for one in fields(SealPolicy)}
    if set(value) - known:
        raise SealPolicyInvalid(field=sorted(set(value) - known)[0])
    chosen: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in value.items()}
    checks: dict[str, Callable[[Any], bool]] = {
        "levels": lambda one: isinstance(one, tuple) and bool(one) and set(one) <= {level.value for level in Level},
        "formats": lambda one: isinstance(one, tuple) and bool(one) and set(one) <= _FORMATS,
        "most_octets": lambda one: one is None or (type(one) is int and one > 0),
        "per_day": lambda one: one is None or (type(one) is int and one > 0),
        "first_hour": lambda one: type(one) is int and 0 <= one < 24,
        "rsa_pss": lambda one: isinstance(one, bool),
        "parallel": lambda one: one is None or (isinstance(one, str) and re.fullmatch("[0-9a-f]{32}", one) is not None),
        "last_hour": lambda one: type(one) is int and 0 < one <= 24,
        "releasers": lambda one: (
            isinstance(one, tuple) and len(one) <= _MOST_RELEASERS and all(_ACTOR.fullmatch(name) for name in one)
        ),
        "appearances": lambda one: (
            one is None or (isinstance(one, tuple) and len(one) <= _MOST_NAMES and all(map(_APPEARANCE.fullmatch, one)))
        ),
    }
    for key, one in chosen.items():
        try:
            sound = checks[key](one)
        except TypeError:
            sound = False
        if not sound:
            raise SealPolicyInvalid(field=key)
    policy = SealPolicy(**chosen)
    if policy.first_hour >= policy.last_hour:
        raise SealPolicyInvalid(field="last_hour")
    return policy


class SealPolicies:
    """The policies of clients, and what they have used of them."""

    def __init__(self, database: Database, audit: AuditTrail) -> None:
        self._database, self._audit = database, audit

    def of(self, client_id: str) -> SealPolicy:
        """A client's policy; DEFAULT where it has none of its own."""
        with self._database.read() as connection:
            kept = seal_store.policy_of(connection, client_id)
        return DEFAULT if kept is None else read_policy(kept)

    def set(self, by: str, client_id: str, policy: SealPolicy, now: datetime) -> None:
        """Give a client a policy, in place of what it had. ``by``: who does this, for the audit trail.

        Raises SealPolicyInvalid for a client that would release its own seals.
        """
        if client_id in policy.releasers:
            raise SealPolicyInvalid(field="releasers")
        with self._database.unit_of_work() as connection:
            seal_store.keep_policy(connection, client_id, policy.json(), now)
            self._audit.append(connection, by, "signing.seal_policy_set", client_id, policy.json())

    def of_actor(self, actor: Actor) -> ClientPolicy:
        """The policy of a client that asks for a seal."""
        return ClientPolicy(self, actor, self.of(actor.id))

    def take_within(
        self,
        connection: Connection,
        policy: SealPolicy,
        client_id: str,
        level: Level,
        form: Form,
        size: int | None,
        now: datetime,
    ) -> str | None:
        """Use up one seal in the caller's transaction; gives the rule where the policy has one against it."""
        return policy.against(level, form, size, now) or self._quota(connection, policy, client_id, now)

    def use_up(self, policy: SealPolicy, client_id: str, now: datetime) -> str | None:
        """Use up one of the day's number, where there is one; gives SP-QUOTA when there is none left."""
        if policy.per_day is None:
            return None
        with self._database.unit_of_work() as connection:
            return self._quota(connection, policy, client_id, now)

    def _quota(self, connection: Connection, policy: SealPolicy, client_id: str, now: datetime) -> str | None:
        if policy.per_day is None:
            return None
        day = now.astimezone(PHNOM_PENH).date().isoformat()
        return None if seal_store.count_up(connection, client_id, day, policy.per_day) else "SP-QUOTA"

    def refused(self, actor: Actor, rule: str, level: Level, form: Form) -> None:
        """What is refused is in the audit trail."""
        with self._database.unit_of_work() as connection:
            details = {"rule": rule, "level": level.value, "form": str(form)}
            self._audit.append(connection, str(actor), "signing.seal_refused", actor.id, details)


class ClientPolicy:
    """What one client may, as it was read when it asked: one reading, whatever of it is looked at for one seal."""

    def __init__(self, policies: SealPolicies, actor: Actor, policy: SealPolicy) -> None:
        self._policies, self._actor, self.policy = policies, actor, policy

    def take(self, level: Level, form: Form, size: int | None, now: datetime, *, held: bool = False) -> None:
        """Use up one seal of the client's. ``held``: it is asked for and waits for whoever releases it.

        Raises SealNotAllowed, with the rule, and SealNeedsRelease; nothing is used up then.
        """
        rule = self.policy.against(level, form, size, now, held=held)
        if rule is None:
            rule = self._policies.use_up(self.policy, self._actor.id, now)
        if rule is None:
            return
        self._refused(rule, level, form)
        if rule == "SP-RELEASE":
            raise SealNeedsRelease
        raise SealNotAllowed(rule=rule)

    def still(self, level: Level, form: Form, size: int, now: datetime) -> None:
        """A held seal is still within the policy as it is now; its number was used up when it was asked for.

        Raises SealNotAllowed, with the rule.
        """
        rule = self.policy.broken(level, form, size, now)
        if rule is not None:
            self._refused(rule, level, form)
            raise SealNotAllowed(rule=rule)

    def appearance(self, level: Level, form: Form, named: str | None) -> None:
        """``named``: what policies call the appearance that is asked for; None: nothing is seen of the seal.

        Raises SealNotAllowed (SP-APPEARANCE).
        """
        allowed = self.policy.appearances
        if named is not None and allowed is not None and named not in allowed:
            self._refused("SP-APPEARANCE", level, form)
            raise SealNotAllowed(rule="SP-APPEARANCE")

    def beside(
        self, credential: Credential, level: Level, form: Form, find: Callable[[str], Credential]
    ) -> Signatory | None:
        """Who signs beside ``credential``, by the client's policy; ``find``: a usable credential of the client.

        Raises SealNotAllowed (SP-PARALLEL) for one that is not fit.
        """
        if self.policy.parallel is None:
            return None
        try:
            found: Signatory | None = find(self.policy.parallel).signatory
        except (CredentialNotFound, CredentialNotUsable):
            found = None
        same = found is not None and found.certificate.subject == credential.signatory.certificate.subject
        if found is None or not same or not is_ml_dsa(found.certificate):
            self._refused("SP-PARALLEL", level, form)
            raise SealNotAllowed(rule="SP-PARALLEL")
        return found

    def _refused(self, rule: str, level: Level, form: Form) -> None:
        self._policies.refused(self._actor, rule, level, form)
