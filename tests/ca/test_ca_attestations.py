"""A key is certified on the token's own word, and no other: whose it is, which one, and of what kind of token."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from foundation.clock import SetClock
from foundation.db.engine import Database
from foundation.keys.attestation import KeyAttestation
from foundation.keys.errors import ActivationInvalid, AttestationInvalid, KeyDisabled, TokenUnavailable
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, Mechanism
from foundation.x509.errors import ProfileInvalid
from foundation.x509.profile import parse_profile
from issuing_ca.attestations import check_attestation
from issuing_ca.errors import EmulatedKeyRefused, KeyNotAttested
from issuing_ca.model import CertificateState, Reason
from issuing_ca.service import packaged_profiles
from issuing_ca.store import certificates
from tests.ca.ca_world import OPERATOR, Token, World, down, make_world
from tests.ca.test_ca_issuance import SEAL, csr

INFO = KeyInfo(
    "k1", "k1", KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN, b"SPECIMEN public key", "specimen-1", True, "00" * 32
)
SAID = KeyAttestation(
    token="00" * 8,
    key_id="k1",
    owner="specimen-1",
    algorithm="ec-p256",
    use="citizen-sign",
    public_key=hashlib.sha256(INFO.public_key).hexdigest(),
    policy="00" * 32,
    kept="wrapped",
    version=1,
    at=datetime(2026, 11, 26, tzinfo=UTC),
)
PROFILE = packaged_profiles()["citizen-sign"]
STRICT = PROFILE.model_copy(update={"emulated_keys": "refuse"})


def rows(world: World) -> int:
    with world.database.read() as connection:
        return connection.execute(select(func.count()).select_from(certificates)).scalar_one()


def test_what_agrees_is_certified() -> None:
    """By a profile that allows emulated keys; by one that refuses them, when the token is not emulated."""
    check_attestation(SAID, PROFILE, INFO, "specimen-1")
    check_attestation(replace(SAID, emulated=False), STRICT, INFO, "specimen-1")


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({"key_id": "k2"}, "KEY-ATTEST-KEY"),
        ({"public_key": "00" * 32}, "KEY-ATTEST-KEY"),
        ({"use": "organisation-seal"}, "KEY-ATTEST-KEY"),
        ({"owner": "specimen-2"}, "KEY-ATTEST-OWNER"),
        ({"owner": None}, "KEY-ATTEST-OWNER"),
        ({"exportable": True}, "KEY-ATTEST-ORIGIN"),
        ({"origin": "imported"}, "KEY-ATTEST-ORIGIN"),
    ],
)
def test_what_does_not_agree_is_named(said: dict[str, Any], rule: str) -> None:
    """Each rule, broken alone, is the one that is told."""
    with pytest.raises(KeyNotAttested) as refused:
        check_attestation(replace(SAID, **said), PROFILE, INFO, "specimen-1")
    assert refused.value.params["field"] == rule


def test_emulated_keys_are_refused_by_profiles_that_say_so() -> None:
    """``emulated_keys = "refuse"``; there is no third word."""
    with pytest.raises(EmulatedKeyRefused):
        check_attestation(SAID, STRICT, INFO, "specimen-1")
    assert parse_profile({**PROFILE.data(), "emulated_keys": "refuse"}).emulated_keys == "refuse"
    with pytest.raises(ProfileInvalid):
        parse_profile({**PROFILE.data(), "emulated_keys": "sometimes"})


def test_a_strict_ca_issues_nothing_over_an_emulated_token(
    sqlite_database: Database, clock: SetClock, token: Token, tmp_path: Path
) -> None:
    """Citizens' keys in the token, and keys from outside that nothing vouches for: refused, and nothing is reserved."""
    strict = {name: one.model_copy(update={"emulated_keys": "refuse"}) for name, one in packaged_profiles().items()}
    world = make_world(sqlite_database, clock, token, tmp_path, profiles=strict)
    with pytest.raises(EmulatedKeyRefused):
        world.citizen()
    with pytest.raises(EmulatedKeyRefused):
        world.ca.issue_for_request("organisation-seal", csr(), SEAL, "organisation-1", OPERATOR)
    assert rows(world) == 0


def test_the_statement_must_be_the_tokens_and_about_this_key(
    small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement about another person's key, one that nobody signed, none at all: no certificate, nothing reserved."""
    world = small_world
    world.citizen()
    before, one, other = rows(world), world.person(), world.person()
    real = world.keys.attest
    for instead, error in (
        (lambda _: real(other.key_id), KeyNotAttested),
        (lambda key_id: real(key_id).replace(b'"version":1', b'"version":2'), AttestationInvalid),
        (lambda _: b"{}", AttestationInvalid),
    ):
        monkeypatch.setattr(world.keys, "attest", instead)
        with pytest.raises(error):
            world.ca.issue_citizen(one)
    monkeypatch.undo()
    world.keys.before = down("attest")
    with pytest.raises(TokenUnavailable):
        world.ca.issue_citizen(one)
    world.keys.before = lambda _: None
    assert rows(world) == before
    assert world.ca.issue_citizen(one)


def test_a_citizens_wrapped_key_follows_its_certificate(world: World) -> None:
    """Suspended: the token refuses the key, whoever holds its wrapping; released: it may sign; revoked: never again."""
    person = world.person()
    issued = world.ca.issue_citizen(person)

    def attempt() -> None:
        world.keys.sign_wrapped(world.wrapped[person.key_id], Mechanism.ECDSA, [bytes(32)], bytes(32))

    with pytest.raises(ActivationInvalid):  # it may sign, once its owner approves something
        attempt()
    world.ca.revoke(issued.serial, Reason.CERTIFICATE_HOLD, OPERATOR)
    with pytest.raises(KeyDisabled):
        attempt()
    world.ca.revoke(issued.serial, Reason.REMOVE_FROM_CRL, OPERATOR)
    with pytest.raises(ActivationInvalid):
        attempt()
    world.keys.before = down("set_enabled")
    world.ca.revoke(issued.serial, Reason.SUPERSEDED, OPERATOR)
    world.keys.before = lambda _: None
    assert world.ca.certificate(issued.serial).state is CertificateState.REVOKED
    assert world.again().reconcile() == ()  # the token was away: it is told afterwards
    with pytest.raises(KeyDisabled):
        attempt()
