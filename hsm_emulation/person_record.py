"""What the token keeps of one person, in one sealed record: keys of their keys, and the state of wrapped keys. Pure.

A wrapped key's private half is kept by the services, sealed under the person's wrapping key. What decides whether it
may be used is here alone: which version of the wrapping is good, whether the key is enabled, what its policy is. So an
old database of the services brings nothing back.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from foundation.canonical import canonical_json
from foundation.keys.port import KeyAlgorithm, KeyUse


@dataclass(frozen=True)
class Wrapping:
    """One wrapping of a private key: its version, and the generation of the person's wrapping key it was made under."""

    version: int
    generation: int


@dataclass(frozen=True)
class WrappedState:
    """A live wrapped key. ``now`` is the wrapping that signs. ``following`` was given out by a rewrap and is good too;
    the first use of it makes it ``now``: until then nobody knows whether it was stored.
    """

    algorithm: KeyAlgorithm
    use: KeyUse
    public_key: bytes
    policy: str
    now: Wrapping
    following: Wrapping | None = None
    enabled: bool = True

    def wrapping(self, version: int) -> Wrapping | None:
        """The good wrapping of this version, if it is one."""
        return next((one for one in (self.now, self.following) if one is not None and one.version == version), None)


@dataclass(frozen=True)
class PersonRecord:
    """``key`` opens the person's factors, activations, data keys; ``wrapping`` (by generation) their signing keys.

    ``factors`` is the generation of their factors: one more each time that all were lost.
    """

    key: bytes
    wrapping: Mapping[int, bytes]
    keys: Mapping[str, WrappedState] = field(default_factory=dict)
    factors: int = 1

    @property
    def generation(self) -> int:
        """Of the wrapping key that new wrappings are made under."""
        return max(self.wrapping)

    def with_key(self, key_id: str, state: WrappedState | None) -> PersonRecord:
        """With this state of a key (None: it is gone), and without the wrapping keys that nothing needs any more."""
        keys = {name: one for name, one in self.keys.items() if name != key_id}
        if state is not None:
            keys[key_id] = state
        needed = {one.generation for state in keys.values() for one in (state.now, state.following) if one is not None}
        needed.add(self.generation)
        return replace(self, keys=keys, wrapping={name: one for name, one in self.wrapping.items() if name in needed})

    def encode(self) -> bytes:
        return canonical_json(
            {
                "key": self.key.hex(),
                "wrapping": {str(generation): key.hex() for generation, key in self.wrapping.items()},
                "keys": {key_id: _state_value(state) for key_id, state in self.keys.items()},
                "factors": self.factors,
            }
        )

    @staticmethod
    def decode(data: bytes) -> PersonRecord:
        """The inverse of :meth:`encode`, for octets that an AEAD has vouched for."""
        value = json.loads(data)
        return PersonRecord(
            bytes.fromhex(value["key"]),
            {int(generation): bytes.fromhex(key) for generation, key in value["wrapping"].items()},
            {key_id: _state(one) for key_id, one in value["keys"].items()},
            value["factors"],
        )


def _state_value(state: WrappedState) -> dict[str, Any]:
    return {
        "algorithm": state.algorithm.value,
        "use": state.use.value,
        "public_key": b64encode(state.public_key).decode(),
        "policy": state.policy,
        "now": [state.now.version, state.now.generation],
        "following": [state.following.version, state.following.generation] if state.following else None,
        "enabled": state.enabled,
    }


def _state(value: dict[str, Any]) -> WrappedState:
    return WrappedState(
        KeyAlgorithm(value["algorithm"]),
        KeyUse(value["use"]),
        b64decode(value["public_key"]),
        value["policy"],
        Wrapping(*value["now"]),
        Wrapping(*value["following"]) if value["following"] else None,
        value["enabled"],
    )
