"""Wrapped keys and persons while several do things to them at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from foundation.keys.errors import (
    DataInvalid,
    KeyDisabled,
    KeyHandleInvalid,
    KeyStoreError,
    OwnerDestroyed,
    WrappedKeyInvalid,
)
from foundation.keys.port import Mechanism, WrappedKey
from hsm_emulation.client import HsmClient
from tests.hsm.conftest import Served
from tests.hsm.test_hsm_wrapped import DIGEST, seal_key, signs


def test_many_keys_of_one_person_made_at_once(served: Served) -> None:
    """Sixteen at the same moment: all are there and all sign (no write overtakes another)."""
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda _: seal_key(served), range(16)))
    assert {one.key_id for one in served.client.wrapped_keys("specimen-1")} == {key.info.key_id for key in keys}
    assert all(signs(served, key) for key in keys)


def test_signing_while_the_person_is_renewed(served: Served) -> None:
    """Signing, rewrapping and renewing at once: the newest wrapping that anybody holds signs in the end."""
    key = seal_key(served)
    with ThreadPoolExecutor(4) as threads:
        signed = [threads.submit(served.client.sign_wrapped, key.wrapped, Mechanism.ECDSA, [DIGEST]) for _ in range(40)]
        renewed = [threads.submit(served.client.renew_person, "specimen-1") for _ in range(4)]
        assert all(len(one.result()) == 1 for one in signed)
        assert all(one.result() is None for one in renewed)
    assert signs(served, key, served.client.rewrap(key.wrapped))


def test_a_person_has_a_bounded_number_of_keys(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record is read whole: it cannot be made to grow without end."""
    monkeypatch.setattr("hsm_emulation.wrapped.MOST_KEYS", 2)
    keys = [seal_key(served) for _ in range(2)]
    with pytest.raises(DataInvalid):
        seal_key(served)
    served.client.destroy_wrapped("specimen-1", keys[0].info.key_id)
    assert seal_key(served)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda client, key: client.set_wrapped_enabled("specimen-1", key.info.key_id, False), KeyDisabled),
        (lambda client, key: client.destroy_wrapped("specimen-1", key.info.key_id), KeyHandleInvalid),
        (lambda client, _: client.destroy_owner("specimen-1"), OwnerDestroyed),
        (lambda client, key: retire(client, key), WrappedKeyInvalid),
    ],
    ids=["disabled", "destroyed", "person destroyed", "rolled back"],
)
def test_what_changes_before_the_commit_counts(
    served: Served, change: Callable[[HsmClient, WrappedKey], object], expected: type[KeyStoreError]
) -> None:
    """Begun with a good key, which is taken away before the intent is on the disk: nothing is signed."""
    key, token = seal_key(served), served.daemon.token
    session: Any = SimpleNamespace(actor="specimen")
    staged = token.wrapped.sign(session, key.wrapped, Mechanism.ECDSA, [DIGEST], None, None)
    change(served.client, key)
    with pytest.raises(expected):
        token.store.carry_out(staged)


def retire(client: HsmClient, key: WrappedKey) -> None:
    """A newer wrapping of the key is used, so that this one is good no more."""
    client.renew_person("specimen-1")
    client.sign_wrapped(client.rewrap(key.wrapped), Mechanism.ECDSA, [DIGEST])
