"""Signing in every format at a desk, and judging with its root alone, as a stranger would."""

from __future__ import annotations

import os
from datetime import datetime

from foundation.http.actor import Actor, ActorKind
from foundation.keys.port import KeyAlgorithm, KeyUse
from signing.forms import Form
from signing.model import Level
from signing.seal_policy import SealPolicy
from signing.verify.model import FileVerdict
from signing.verify.policy import STRICT
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file
from tests.signing.conftest import PIN, Desk, Person

TEXT = "SPECIMEN កិច្ចសន្យា agreement\r\n".encode()
AGENCY = Actor(ActorKind.CLIENT, "agency")


def sealed(
    desk: Desk, data: bytes, form: Form, level: Level, name: str = "text.txt", algorithm: KeyAlgorithm | None = None
) -> bytes:
    """An agency's seal, by a key of its own for each call."""
    info = desk.keys.generate(
        f"seal-{os.urandom(8).hex()}", algorithm or KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL
    )
    signatory = desk.pki.signatory(info, "Agency")
    credential = desk.service.register_credential(
        "system:test", AGENCY.id, info.key_id, signatory.certificate, signatory.chain
    )
    every = SealPolicy(levels=tuple(one.value for one in Level))
    desk.service.seal_policies.set("system:test", AGENCY.id, every, desk.clock.now())
    return desk.service.seal(AGENCY, credential.credential_id, data, name=name, form=form, level=level)


def signed_by(
    desk: Desk, person: Person, data: bytes, form: Form, level: Level | None, name: str = "text.txt"
) -> bytes:
    """A person's signature through upload, PIN and code."""
    named = desk.service.upload(person.actor, name, data, form=form)
    (outcome_,) = desk.service.authorise(
        person.actor,
        person.credential.credential_id,
        [named.document.document_id],
        pin=PIN,
        totp=person.code(),
        level=level,
    )
    if outcome_.error is not None:
        raise outcome_.error
    return desk.service.signed(person.actor, named.document.document_id)[1]


def judged(desk: Desk, data: bytes, *, detached: bytes | None = None, at: datetime | None = None) -> FileVerdict:
    """The verdict with the root as the only trust: everything else must be inside."""
    when = at or desk.clock.now()
    trust = build_trust(None, frozenset(), [desk.pki.root.certificate], when, STRICT)
    return verify_file(data, "file", trust, when, STRICT, detached=detached)


def outcome(verdict: FileVerdict) -> tuple[str, str | None]:
    return verdict.indication.value, verdict.sub_indication.value if verdict.sub_indication else None
