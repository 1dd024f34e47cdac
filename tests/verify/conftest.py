"""The specimen world, made once for the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class Octets:
    """A document whose representation stays short where hypothesis prints its arguments."""

    data: bytes = field(repr=False)


@pytest.fixture(scope="session")
def signed_octets(signed: bytes) -> Octets:
    return Octets(signed)


@pytest.fixture(scope="session")
def trust(world: World) -> Trust:
    """A pinned bundle, a day old."""
    return build_trust(world.bundle(), frozenset({world.pin}), [], NOW, STRICT)


@pytest.fixture(autouse=True)
def no_defects(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """An exception inside the verifier is a failed document for the user, and a defect for us."""
    yield
    found = [one for one in caplog.get_records("call") if one.name.startswith("signing.verify")]
    assert not found, found[0].getMessage()
