"""A production start-up under policies of the example arc."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from camtrust.assembly import _refuse_examples
from camtrust.errors import ExampleOidRefused

REAL, EXAMPLE = "1.3.6.1.4.1.99999.1", "2.999.116.2.2"


def authority(profile: str = REAL, level: str = REAL, timestamps: str = REAL) -> Any:
    """An issuing CA with these policies."""
    named = SimpleNamespace(name="tls-server", policies=SimpleNamespace(oids=(profile,)))
    return SimpleNamespace(
        profiles={"tls-server": named}, settings=SimpleNamespace(policies={"low": level}, tsa_policy=timestamps)
    )


@pytest.mark.parametrize("where", ["profile", "level", "timestamps"])
def test_an_example_policy_is_refused_wherever_it_stands(where: str) -> None:
    """In a profile, of a level, and of timestamps."""
    with pytest.raises(ExampleOidRefused):
        _refuse_examples(cast(Any, authority(**{where: EXAMPLE})))


def test_policies_of_ones_own_are_taken() -> None:
    """Where no example is among them."""
    _refuse_examples(cast(Any, authority()))
