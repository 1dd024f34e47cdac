"""The checks of the probe find what they look for: each is shown a key store, or a token, on which it must fail."""

from __future__ import annotations

from typing import Any

import pytest
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.mechanisms import KeyType

from foundation.keys.errors import TokenUnavailable
from foundation.keys.pkcs11 import records, signing
from foundation.keys.pkcs11.probe import protection
from foundation.keys.pkcs11.probe.leftovers import sweep
from foundation.keys.pkcs11.probe.module import check_module
from foundation.keys.pkcs11.store import Pkcs11KeyStore
from foundation.keys.port import KeyAlgorithm, KeyStore, KeyUse, Mechanism
from foundation.keys.probe import capacity, concurrency, mechanisms
from foundation.keys.probe.report import Verdict
from hsm_emulation.client import HsmClient
from tests.keys.contract import fresh


class Altered:
    """A key store, but for some calls."""

    def __init__(self, store: Any, **calls: Any) -> None:
        self._store, self._calls = store, calls

    def __getattr__(self, name: str) -> Any:
        return self._calls.get(name) or getattr(self._store, name)


def label() -> str:
    return fresh("camtrust-probe-test")


def quiet(_: str) -> None:
    return None


@pytest.fixture(params=["softhsm", "emulated"])
def store(request: pytest.FixtureRequest) -> KeyStore:
    """Both backends."""
    found: KeyStore = request.getfixturevalue("other_store" if request.param == "softhsm" else "token")
    return found


def test_a_sound_key_store_passes_and_keeps_nothing(store: KeyStore) -> None:
    """Threads, mechanisms, rates and capacity on both backends: PASS (or a judgment), and no key stays."""
    before = len(store.find())
    assert concurrency.check_threads(store, label).verdict is Verdict.PASS
    tried = mechanisms.check_mechanisms(store, label, quiet)
    assert tried.verdict is Verdict.PASS
    assert set(tried.details["works"]) == store.capabilities().algorithms
    rates = mechanisms.check_rates(store, label, 0.02, quiet).details["per_second"]
    assert "ec-p256, 4 threads" in rates
    assert all(rate > 0 for rate in rates.values())
    judged = capacity.check_capacity(store, label, 8, lambda: None, quiet)
    assert [one["keys"] for one in judged.details["batches"]] == [2, 4, 6, 8]
    assert len(store.find()) == before


def test_an_error_under_threads_fails(token: HsmClient) -> None:
    """One call in many that fails is told, with its PKCS#11 name."""
    calls = iter(range(10_000))

    def sign(*given: Any) -> bytes:
        if next(calls) == 100:
            raise TokenUnavailable
        return token.sign(*given)

    told = concurrency.check_threads(Altered(token, sign=sign), label)
    assert told.verdict is Verdict.FAIL
    assert "CKR_DEVICE_REMOVED" in told.summary


def test_a_destroyed_key_that_stays_fails(token: HsmClient) -> None:
    """A token that says that it destroyed a key, and did not."""
    told = concurrency.check_threads(Altered(token, destroy=lambda _: None), label)
    assert told.verdict is Verdict.FAIL
    assert "still there" in told.summary


def test_a_mechanism_that_signs_wrongly_fails(token: HsmClient) -> None:
    """What is offered and does not verify outside is named."""

    def sign(key_id: str, mechanism: Mechanism, data: bytes) -> bytes:
        wrong = mechanism is Mechanism.ECDSA_SHA384
        return token.sign(key_id, Mechanism.ECDSA_SHA256 if wrong else mechanism, data)

    told = mechanisms.check_mechanisms(Altered(token, sign=sign), label, quiet)
    assert told.verdict is Verdict.FAIL
    assert told.details["broken"] == {
        f"ec-p{size} CKM_ECDSA_SHA384": "CKR_SIGNATURE_INVALID" for size in (256, 384, 521)
    }


def test_softhsm_lets_wrapped_keys_out(other_store: Pkcs11KeyStore) -> None:
    """The unwrap downgrade of SoftHSM 2.6 is found."""
    told = protection.check_unwrap(other_store._connection)
    assert told.verdict is Verdict.FAIL
    assert any("C_UnwrapKey" in way for way in told.details["ways"])


def test_a_module_that_keeps_what_it_unwraps_passes(
    other_store: Pkcs11KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same module, asked for nothing that it should refuse: the finding hangs on what comes out."""
    monkeypatch.setattr(protection, "_OPENED", {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False})
    told = protection.check_unwrap(other_store._connection)
    assert told.verdict is Verdict.PASS
    assert told.details["unwrap_and_sign_per_second"] > 0


def test_protected_keys_stay_in_softhsm(other_store: Pkcs11KeyStore) -> None:
    """Reading, changing, copying and wrapping a protected key are refused."""
    assert protection.check_protection(other_store._connection).verdict is Verdict.PASS


def test_a_key_that_is_not_protected_is_found_out(other_store: Pkcs11KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that can be read and wrapped, shown to the check as protected ones, fail it."""
    template = protection._template
    monkeypatch.setattr(protection, "_template", lambda **_: template(sensitive=False, extractable=True))
    told = protection.check_protection(other_store._connection)
    assert told.verdict is Verdict.FAIL
    assert "C_GetAttributeValue" in told.details["ways"]
    assert any(way.startswith("C_WrapKey") for way in told.details["ways"])


def test_a_module_says_what_it_is(other_store: Pkcs11KeyStore) -> None:
    """Maker, model and mechanisms, and never a PIN."""
    told = check_module(other_store._connection)
    assert told.details["manufacturer"] == "SoftHSM project"
    assert "EC_KEY_PAIR_GEN" in told.details["mechanisms"]


def test_what_a_run_left_is_swept_and_nothing_else(other_store: Pkcs11KeyStore) -> None:
    """Whole keys, bare pairs and records without a key, by the run's prefix; another run's and other keys stay."""
    prefix, other = fresh("camtrust-probe"), fresh("camtrust-probe")
    other_store.generate(f"{prefix}-whole", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    orphaned = other_store.generate(f"{prefix}-orphaned", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    kept = [other_store.generate(name, KeyAlgorithm.EC_P256, KeyUse.AUDIT) for name in (f"{other}-1", fresh("seal"))]

    def break_off(session: Any) -> None:
        identifier = bytes.fromhex(orphaned.key_id)
        for one in session.search({Attribute.ID: identifier}):
            one.destroy()
        signing.generate_pair(session.raw, KeyAlgorithm.EC_P256, bytes(16), f"{prefix}-bare")
        session.raw.generate_key(
            KeyType.AES, 256, label=f"{prefix}-secret", store=True, capabilities=MechanismFlag.WRAP
        )

    other_store._connection.run(break_off, writes=True)
    told = sweep(other_store._connection, prefix)
    assert told.verdict is Verdict.PASS
    assert told.details == {"swept": 4 + 2 + 2 + 1, "left": 0}
    assert sweep(other_store._connection, prefix).details["swept"] == 0
    for info in kept:
        assert other_store.get(info.key_id) == info
    left = other_store._connection.run(
        lambda session: [
            *session.search({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: bytes(16)}),
            *session.search(records.template(records.KEY, orphaned.key_id)),
        ]
    )
    assert not left
