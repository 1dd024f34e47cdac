"""Frames: what was encoded comes back, and nothing else is taken for a frame."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.keys.errors import KeyStoreError
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse
from hsm_emulation.protocol import (
    ERRORS,
    FrameInvalid,
    decode,
    encode,
    error_from,
    error_value,
    key_from,
    key_value,
    receive_frame,
    send_frame,
)

LEAVES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text() | st.binary()
NAMES = st.text().filter(lambda name: name != "$bytes")
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=20)


@given(st.dictionaries(NAMES, VALUES))
def test_what_is_encoded_comes_back(value: dict[str, Any]) -> None:
    """Any value of the kinds we send comes back the same."""
    assert decode(encode(value)) == value


@given(st.binary())
def test_noise_is_a_frame_or_frame_invalid(body: bytes) -> None:
    """Octets that are not our encoding raise FrameInvalid and nothing else."""
    with suppress(FrameInvalid):
        assert isinstance(decode(body), dict)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"1", b"null", b"{", b'{"a":1.5}', b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1,"a":2}', b"\xff"),
        *(b'{"a":{"$bytes":1}}', b'{"a":{"$bytes":"?"}}', b'{"a":{"$bytes":"AA==","b":1}}', b'{"a":1} {}'),
        *(b'{"a":' * 100_000, b'{"a":' + b"9" * 10_000 + b"}", b'{"$bytes":"AA=="}'),
    ],
)
def test_what_is_refused(body: bytes) -> None:
    """Floats, duplicate keys, deep nesting, endless numbers, octets with company, a second value."""
    with pytest.raises(FrameInvalid):
        decode(body)


def test_what_has_no_place_in_a_frame() -> None:
    """An object of ours is a defect of ours, told at once."""
    with pytest.raises(TypeError):
        encode({"a": object()})


@given(st.binary(max_size=3000), st.integers(0, 3003))
def test_a_frame_is_taken_whole_or_not_at_all(body: bytes, cut: int) -> None:
    """Sent whole it arrives; cut off anywhere it is FrameInvalid, or None before the first octet."""
    left, right = socket.socketpair()
    with left, right:
        send_frame(left, body, 5)
        assert receive_frame(right, 3000, 5, 5) == body
        whole = len(body).to_bytes(4, "big") + body
        left.sendall(whole[:cut])
        left.close()
        if cut == 0:
            assert receive_frame(right, 3000, 5, 5) is None
        elif cut >= len(whole):
            assert receive_frame(right, 3000, 5, 5) == body
        else:
            with pytest.raises(FrameInvalid):
                receive_frame(right, 3000, 5, 5)


def test_a_frame_that_stalls_or_is_too_long_is_given_up() -> None:
    """A frame that does not come within its time raises TimeoutError; one that says it is too long is not read."""
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"\0\0")
        with pytest.raises(TimeoutError):
            receive_frame(right, 100, 0.05, 0.05)
        left.sendall(b"\0\0\0\xff")
        with pytest.raises(FrameInvalid):
            receive_frame(right, 100, 5, 5)


@pytest.mark.parametrize("error_class", ERRORS.values())
def test_errors_come_back_as_the_same_class(error_class: type[KeyStoreError]) -> None:
    """Each error of the key store crosses the socket with class, parameters and time to wait."""
    error = error_class(
        directory="x", sequence=3, field="kinds", reason="form", rule="POL-KIND", given=1, needed=3, retry_after=60
    )
    again = error_from(decode(encode(error_value(error))))
    assert type(again) is error_class
    assert (again.params, again.retry_after, str(again)) == (error.params, 60, str(error))


def test_an_unknown_error_is_still_one_of_the_key_store() -> None:
    """A newer daemon's error code comes as KeyStoreError."""
    assert type(error_from({"code": "foundation.of_tomorrow"})) is KeyStoreError


def test_keys_come_back() -> None:
    """A KeyInfo crosses as it is."""
    info = KeyInfo("id", "ស្លាក", KeyAlgorithm.ML_DSA_87, KeyUse.ROOT_CA, b"\0\1", None, False, "00" * 32)
    assert key_from(decode(encode(key_value(info)))) == info
