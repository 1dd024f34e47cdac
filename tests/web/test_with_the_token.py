"""The edge with a real token behind it: logging in, and keeping answers."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest

from foundation.clock import SetClock, SystemClock
from foundation.db.audit import AuditTrail
from foundation.http.idempotency import SERVICE_OWNER
from foundation.http.idempotency_store import Answer, Claim, IdempotencyStore
from foundation.keys.errors import OwnerDestroyed
from foundation.vault import Vault
from identity.errors import LoginRefused
from identity.service import IdentityService
from tests.web.world import ORIGIN, World

if TYPE_CHECKING:
    from hsm_emulation.client import HsmClient

PIN = "481516"


def test_a_person_logs_in_with_the_factors_of_the_token(world: World, token: HsmClient) -> None:
    """PIN and a current code, checked inside the token, open a session; the same code again does not."""
    person = "person-web-login"
    enrolment = token.enrol(person, PIN)
    secret = parse_qs(urlsplit(enrolment.provisioning_uri).query)["secret"][0]
    now = SystemClock().now()
    token.confirm(person, pyotp.TOTP(secret).at(now))
    code = pyotp.TOTP(secret).at(now + timedelta(seconds=30))
    trail = AuditTrail(SystemClock())
    service = IdentityService(world.database, SystemClock(), trail, token, ORIGIN)
    opened = service.log_in(person, PIN, code)
    assert service.sessions.authenticate(opened.token).id == person
    for pin, again in ((PIN, code), ("000000", code)):
        with pytest.raises(LoginRefused):
            service.log_in(person, pin, again)
    with pytest.raises(LoginRefused):
        service.log_in("person-web-nobody", PIN, code)


def test_answers_are_sealed_by_the_token(world: World, token: HsmClient, clock: SetClock) -> None:
    """Answers are kept under keys of the token, for the service and for a person; erasing the person ends theirs."""
    store = IdempotencyStore(world.database, Vault(token), clock)
    answer = Answer(201, (), b'{"number": 1}')
    for place, owner in ((b"\x01" * 32, SERVICE_OWNER), (b"\x02" * 32, "person-web-answers")):
        claim = store.claim(place, owner, bytes(32))
        assert isinstance(claim, Claim)
        store.keep(claim, answer)
        assert store.claim(place, owner, bytes(32)) == answer
    token.destroy_owner("person-web-answers")
    with pytest.raises(OwnerDestroyed):
        store.claim(b"\x02" * 32, "person-web-answers", bytes(32))
    assert store.claim(b"\x01" * 32, SERVICE_OWNER, bytes(32)) == answer
