"""Custodians: what they must approve is done only with enough approvals of that very request, once."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.canonical import canonical_json
from foundation.keys.errors import (
    ApprovalInvalid,
    CustodiansInvalid,
    DataInvalid,
    KeyStoreError,
    NotLoggedIn,
    QuorumRequired,
    QuorumTooFew,
    RequestInvalid,
    WrappedKeyInvalid,
)
from foundation.keys.policy import DEFAULTS
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from foundation.keys.quorum import Custodian, Custodians, Request, approve
from foundation.x509.algorithms import sign
from tests.hsm.conftest import SO_PIN, Served
from tests.keys.structures import request_info

KEYS: list[Any] = [
    *(ec.generate_private_key(ec.SECP256R1()) for _ in range(3)),
    *(ed25519.Ed25519PrivateKey.generate() for _ in range(3)),
]
PUBLIC = [key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for key in KEYS]
CUSTODIANS = Custodians(3, tuple(Custodian(f"Custodian {number}", key) for number, key in enumerate(PUBLIC[:5])))
GENERATE = {"label": "root", "algorithm": "ec-p256", "use": "root-ca", "owner": None, "policy": None}


def approved(request: bytes, *numbers: int) -> list[bytes]:
    """The approvals of these custodians; number 5 is nobody."""
    asked = Request.parse(request)
    return [approve(asked, PUBLIC[one], lambda message, one=one: sign(KEYS[one], message)) for one in numbers]


def changed(approval: bytes) -> bytes:
    """The same approval with one bit of its signature turned."""
    value = json.loads(approval)
    signature = bytearray(base64.b64decode(value["signature"]))
    signature[-1] ^= 1
    return canonical_json({**value, "signature": base64.b64encode(signature).decode()})


@pytest.fixture
def officer(served: Served) -> Any:
    client = served.connect(SO_PIN, "so")
    client.set_custodians(CUSTODIANS)
    yield client
    client.close()


def test_a_new_ca_key_needs_three_of_five(served: Served, officer: Any) -> None:
    """Asked for directly it is refused; with three approvals it is made, once; other keys are made as before."""
    for use in (KeyUse.ROOT_CA, KeyUse.ISSUING_CA, KeyUse.TSA_CA):
        with pytest.raises(QuorumRequired):
            served.client.generate("root", KeyAlgorithm.EC_P256, use)
    served.client.generate("seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    request = served.client.quorum_ask("generate", GENERATE)
    made = served.client.quorum_perform(request, approved(request, 0, 3, 4))
    key = served.client.get(made["key_id"])
    assert (key.label, key.use) == ("root", KeyUse.ROOT_CA)
    with pytest.raises(RequestInvalid):
        served.client.quorum_perform(request, approved(request, 0, 3, 4))
    assert served.client.inventory()["quorum"] == "3of5"
    rows = [row for row in served.client.audit_entries() if row["action"] == "quorum-approved"]
    assert json.loads(rows[0]["details"])["custodians"] == [CUSTODIANS.people[one].key_id for one in (0, 3, 4)]


@pytest.mark.parametrize(
    ("error", "approvals"),
    [
        (QuorumTooFew, lambda request: approved(request, 0, 1)),
        (QuorumTooFew, lambda request: approved(request, 0, 1, 1, 0)),
        (QuorumTooFew, lambda _: []),
        (ApprovalInvalid, lambda request: approved(request, 0, 1, 5)),
        (ApprovalInvalid, lambda request: [*approved(request, 0, 1, 2), b"{}"]),
        (ApprovalInvalid, lambda request: [*approved(request, 0, 1), changed(approved(request, 2)[0])]),
        (
            ApprovalInvalid,
            lambda request: [
                *approved(request, 0, 1),
                *approved(replace(Request.parse(request), arguments={**GENERATE, "label": "x"}).canonical, 2),
            ],
        ),
    ],
)
def test_anything_less_is_refused_and_costs_nothing(
    served: Served, officer: Any, error: type[KeyStoreError], approvals: Callable[[bytes], list[bytes]]
) -> None:
    """Too few, the same twice, of a stranger, changed, of another request: refused; the request is still good."""
    request = served.client.quorum_ask("generate", GENERATE)
    with pytest.raises(error):
        served.client.quorum_perform(request, approvals(request))
    assert served.client.find(label="root") == ()
    served.client.quorum_perform(request, approved(request, 0, 1, 2))


def test_a_request_is_this_token_s_and_in_time_and_unchanged(served: Served, officer: Any) -> None:
    """Another serial number, another nonce, another argument, a week later: refused although all of it is signed."""
    request = served.client.quorum_ask("generate", GENERATE)
    asked = Request.parse(request)
    for changed in (
        replace(asked, token="00" * 8),
        replace(asked, nonce="00" * 16),
        replace(asked, arguments={**GENERATE, "label": "other"}),
        replace(asked, expires=asked.expires + timedelta(days=9)),
        replace(asked, operation="rotate_master", arguments={}),
    ):
        with pytest.raises((RequestInvalid, NotLoggedIn)):
            served.client.quorum_perform(changed.canonical, approved(changed.canonical, 0, 1, 2))
    with pytest.raises(RequestInvalid):
        served.client.quorum_perform(request + b" ", approved(request, 0, 1, 2))
    served.clock.advance(timedelta(days=7))
    with pytest.raises(RequestInvalid):
        served.client.quorum_perform(request, approved(request, 0, 1, 2))


def test_policies_rotation_and_custodians_need_the_quorum(served: Served, officer: Any) -> None:
    """Each is refused directly and done on approval; a replaced custodian decides no more; a policy takes effect."""
    seal = served.client.generate("seal", KeyAlgorithm.EC_P256, KeyUse.OCSP_RESPONDER)
    limited = replace(DEFAULTS[KeyUse.OCSP_RESPONDER], use_limit=1)
    others = Custodians(1, (Custodian("Other", PUBLIC[5]),))
    for direct in (
        officer.rotate_master,
        officer.accept_store,
        lambda: officer.set_policy(seal.key_id, limited),
        lambda: officer.set_custodians(others),
    ):
        with pytest.raises(QuorumRequired):
            direct()
    for operation, arguments in (
        ("rotate_master", {}),
        ("accept_store", {}),
        ("set_policy", {"key_id": seal.key_id, "policy": limited.data()}),
        ("set_custodians", {"custodians": others.data()}),
    ):
        request = officer.quorum_ask(operation, arguments)
        officer.quorum_perform(request, approved(request, 1, 2, 3))
    assert served.client.get(seal.key_id).policy == limited.hash
    served.client.sign(seal.key_id, Mechanism.ECDSA_SHA256, request_info(seal))
    with pytest.raises(KeyStoreError):
        served.client.sign(seal.key_id, Mechanism.ECDSA_SHA256, request_info(seal))
    request = served.client.quorum_ask("generate", GENERATE)
    with pytest.raises(ApprovalInvalid):
        served.client.quorum_perform(request, approved(request, 1, 2, 3))
    served.client.quorum_perform(request, approved(request, 5))


def test_who_may_ask_stays_who_may_act(served: Served, officer: Any) -> None:
    """The user does not rotate, the officer makes no keys, whatever is approved; nonsense is no request."""
    with pytest.raises(NotLoggedIn):
        served.client.quorum_ask("rotate_master", {})
    with pytest.raises(NotLoggedIn):
        officer.quorum_ask("generate", GENERATE)
    for operation, arguments in (("sign", {}), ("generate", {}), ("generate", {**GENERATE, "more": 1})):
        with pytest.raises(RequestInvalid):
            served.client.quorum_ask(operation, arguments)
    with pytest.raises(DataInvalid):
        served.client.quorum_ask("generate", {**GENERATE, "use": "anything"})


@pytest.mark.parametrize(
    "edit",
    ["DELETE FROM meta WHERE name = 'custodians'", "UPDATE meta SET value = zeroblob(60) WHERE name = 'custodians'"],
)
def test_custodians_cannot_be_edited_away(served: Served, officer: Any, edit: str) -> None:
    """Without its list, or with another, the token makes no CA key: a missing list is not an empty one."""
    assert served.edit(edit) == 1
    with pytest.raises(WrappedKeyInvalid):
        served.client.generate("root", KeyAlgorithm.EC_P256, KeyUse.ROOT_CA)


def test_a_token_without_custodians_says_so(served: Served) -> None:
    """The embedded default: everything as before, and the inventory tells."""
    assert served.client.inventory()["quorum"] is None
    assert served.client.custodians() == Custodians()
    served.client.generate("root", KeyAlgorithm.EC_P256, KeyUse.ROOT_CA)


@pytest.mark.parametrize(
    "value",
    [
        {"threshold": 0, "people": [{"name": "A", "public_key": "AA=="}]},
        {"threshold": 1, "people": []},
        {"threshold": 3, "people": CUSTODIANS.data()["people"][:2]},
        {"threshold": 1, "people": CUSTODIANS.data()["people"][:1] * 2},
        {"threshold": 1, "people": [{"name": "", "public_key": CUSTODIANS.data()["people"][0]["public_key"]}]},
        {"threshold": True},
        [],
    ],
)
def test_lists_that_are_none(value: Any) -> None:
    """A threshold nobody can reach, a key twice, no key: CustodiansInvalid."""
    with pytest.raises(CustodiansInvalid):
        Custodians.parse(value)
