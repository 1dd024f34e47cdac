"""The specimen world, made once for the run."""

from __future__ import annotations

import pytest

from signing.verify.policy import STRICT
from signing.verify.trust import Trust, build_trust
from tests.verify.verify_world import NOW, World, document


@pytest.fixture(scope="session")
def world() -> World:
    return World()


@pytest.fixture(scope="session")
def plain() -> bytes:
    """An unsigned document."""
    return document()


@pytest.fixture(scope="session")
def signed(world: World, plain: bytes) -> bytes:
    """A good B-LT document."""
    return world.signed(plain)


@pytest.fixture(scope="session")
def trust(world: World) -> Trust:
    """A pinned bundle, a day old."""
    return build_trust(world.bundle(), frozenset({world.pin}), [], NOW, STRICT)
