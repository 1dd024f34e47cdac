"""`camtrust ca revoke-matching`: first a dry run, then exactly what it found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import typer

from camtrust.cli import ca
from camtrust.cli.context import Context
from foundation.terminal import Terminal
from issuing_ca.errors import QueryChanged, QueryEmpty
from issuing_ca.model import CertificateState
from tests.ca.ca_world import World
from tests.ca.ra_world import registration


def test_a_dry_run_and_then_what_it_found(
    small_world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --digest nothing changes; with the digest of the dry run all of it is revoked; with an old one, or
    without any condition, nothing is."""
    ra = registration(small_world)

    @contextmanager
    def services_of(_: Context) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(registration=ra)

    monkeypatch.setattr(ca, "services_of", services_of)
    group = typer.main.get_command(ca.create(Context(terminal=Terminal(json=True), home_path=None)))

    def command(*arguments: str) -> dict[str, object]:
        group(["revoke-matching", "--reason", "superseded", *arguments], standalone_mode=False)
        answer: dict[str, object] = json.loads(capsys.readouterr().out)
        return answer

    made = [small_world.citizen().serial for _ in range(3)]
    seen = command("--profile", "citizen-sign", "--issued-from", "2020-01-01")
    assert seen["count"] == 3
    assert sorted(seen["first"]) == sorted(made)  # type: ignore[call-overload]
    assert all(small_world.ca.certificate(serial).state is CertificateState.ISSUED for serial in made)
    assert command("--profile", "citizen-sign", "--issued-until", "2020-01-01")["count"] == 0
    for arguments, error in ((("--owner", made[0], "--digest", str(seen["digest"])), QueryChanged), ((), QueryEmpty)):
        with pytest.raises(error):
            command(*arguments)
    done = command("--profile", "citizen-sign", "--digest", str(seen["digest"]))
    assert done == {"revoked": 3}
    assert all(small_world.ca.certificate(serial).state is CertificateState.REVOKED for serial in made)
    rows = small_world.audit.verify(small_world.database)
    assert rows > 3
