"""The store: what waits for the disk and what does not, a disk that fails, a writer that died, and the audit rows."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hsm_emulation.store
from foundation.canonical import digest
from foundation.keys.errors import TokenUnavailable
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, Mechanism
from hsm_emulation.audit import _hash
from hsm_emulation.keys import LoadedKey
from tests.hsm.conftest import Served

SIGN = Mechanism.ECDSA_SHA256


class Disk:
    """`os` as the store sees it, with a disk that waits, counts, and fails when it is told to."""

    def __init__(self) -> None:
        self.ready, self.asked = threading.Event(), threading.Event()
        self.ready.set()
        self.count, self.fails = 0, False

    def fdatasync(self, descriptor: int) -> None:
        self.asked.set()
        assert self.ready.wait(20)
        self.count += 1
        if self.fails:
            raise OSError(5, "the disk is broken")
        os.fdatasync(descriptor)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    one = Disk()
    monkeypatch.setattr(hsm_emulation.store, "os", one)
    yield one
    one.ready.set()


@pytest.fixture
def key(served: Served) -> KeyInfo:
    return served.client.generate("key", KeyAlgorithm.EC_P256, KeyUse.AUDIT)


def test_no_key_is_used_before_its_intent_is_on_the_disk(
    served: Served, key: KeyInfo, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk waits, nothing is signed, though the intent is committed; the loop answers others meanwhile."""
    used: list[bytes] = []
    original = LoadedKey._raw

    def spy(loaded: LoadedKey, mechanism: Mechanism, data: bytes) -> bytes:
        used.append(data)
        return original(loaded, mechanism, data)

    monkeypatch.setattr(LoadedKey, "_raw", spy)
    disk.ready.clear()
    disk.asked.clear()
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(served.client.sign, key.key_id, SIGN, b"x")
        assert disk.asked.wait(20)
        assert ("sign", "intent") in served.look("SELECT action, outcome FROM audit")
        assert served.client.get(key.key_id) == key
        assert not used
        assert not waiting.done()
        disk.ready.set()
        assert waiting.result(20)
    assert used == [b"x"]


def test_many_share_one_sync(served: Served, key: KeyInfo, disk: Disk) -> None:
    """Ten who come while the disk is at work wait for one more sync together."""
    disk.ready.clear()
    disk.asked.clear()
    with ThreadPoolExecutor(11) as threads:
        first = threads.submit(served.client.sign, key.key_id, SIGN, b"first")
        assert disk.asked.wait(20)
        others = [threads.submit(served.client.sign, key.key_id, SIGN, bytes([number])) for number in range(10)]
        for _ in range(2000):
            if served.look("SELECT COUNT(*) FROM audit WHERE action = 'sign' AND outcome = 'intent'") == [(11,)]:
                break
            threading.Event().wait(0.01)
        before = disk.count
        disk.ready.set()
        assert all(one.result(20) for one in (first, *others))
        assert disk.count - before <= 4  # the first, one for the ten, and one or two for the rows of results


def test_a_disk_that_failed_once_is_not_believed_again(served: Served, key: KeyInfo, disk: Disk) -> None:
    """A sync fails: nothing is signed, not even when the disk says yes again; a new start works, the chain is whole."""
    disk.fails = True
    with pytest.raises(TokenUnavailable):
        served.client.sign(key.key_id, SIGN, b"x")
    disk.fails = False
    for _ in range(3):
        with pytest.raises(TokenUnavailable):
            served.client.sign(key.key_id, SIGN, b"x")
        with pytest.raises(TokenUnavailable):
            served.client.generate("another", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    served.client._wire.close()
    served.daemon.__exit__(None, None, None)
    served.start()
    served.client.sign(key.key_id, SIGN, b"x")
    assert served.client.verify_audit() > 0


def test_after_a_writer_that_died_nothing_noted_in_memory_is_believed(served: Served, key: KeyInfo) -> None:
    """A writer died between its commit and its notes: the next looks the log's end up, and caches are emptied."""
    shared = served.daemon.token.store.shared
    served.client.sign(key.key_id, SIGN, b"x")
    assert served.client.verify_audit() > 0
    generation = shared.generation
    shared.tail, shared.dirty = (3, bytes(32)), True
    served.client.sign(key.key_id, SIGN, b"x")
    assert served.client.verify_audit() > 0
    assert shared.generation > generation


def test_results_name_the_intents_that_they_answer_for(served: Served, key: KeyInfo) -> None:
    """Forty signatures of four threads: every intent is named by one result, which stands after it."""
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: served.client.sign(key.key_id, SIGN, bytes([number])), range(40)))
    served.restart()
    rows = [row for row in served.client.audit_entries() if row["action"] == "sign"]
    intents = [row["sequence"] for row in rows if row["outcome"] == "intent"]
    named = [
        (row["sequence"], number)
        for row in rows
        if row["outcome"] == "done"
        for number in json.loads(row["details"])["intents"]
    ]
    assert len(intents) == 40
    assert sorted(number for _, number in named) == intents
    assert all(number < result for result, number in named)


@given(st.binary(min_size=32, max_size=32), st.integers(1, 1 << 62), st.lists(st.text(), min_size=6, max_size=6))
def test_the_hash_of_a_row_is_that_of_its_canonical_form(previous: bytes, sequence: int, texts: list[str]) -> None:
    """What is put together by hand for speed is the canonical JSON, for any text."""
    try:
        expected = digest([previous.hex(), sequence, *texts])
    except UnicodeEncodeError:  # half of a surrogate pair
        with pytest.raises(UnicodeEncodeError):
            _hash(previous, sequence, *texts)
        return
    assert _hash(previous, sequence, *texts) == expected
