"""The signed documents that attacks start from, made once for the run."""

from __future__ import annotations

import pytest

from signing.verify.policy import STRICT
from signing.verify.trust import Trust, build_trust
from tests.attacks.benign import our_pki
from tests.attacks.specimens import Specimens
from tests.verify.verify_world import NOW, World


@pytest.fixture(scope="session")
def specimens() -> Specimens:
    return Specimens(World())


@pytest.fixture(scope="session")
def trust(specimens: Specimens) -> Trust:
    """A pinned bundle, a day old, and the root of what our own signer signs."""
    world, anchors = specimens.world, [our_pki().root.certificate]
    return build_trust(world.bundle(), frozenset({world.pin}), anchors, NOW, STRICT)
