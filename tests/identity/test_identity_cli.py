"""The commands that register actors on the machine itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from foundation.http.actor import ActorKind
from foundation.terminal import Terminal
from identity.cli import create
from identity.errors import ActorInvalid, ClientInvalid
from tests.web.world import World


def test_register_list_and_disable(world: World, tmp_path: Path) -> None:
    """The first operator is registered by command, is listed, and can be disabled by command."""
    file = tmp_path / "operator.pem"
    public_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    file.write_bytes(public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    app, runner = create(lambda: world.identity, Terminal(json=True)), CliRunner()
    arguments = [
        "register",
        str(file),
        "--kind",
        "operator",
        "--label",
        "SPECIMEN operator",
        "--role",
        "identity-admin",
    ]
    made = json.loads(runner.invoke(app, arguments, catch_exceptions=False).stdout)
    assert (made["kind"], made["roles"], made["registered_by"]) == ("operator", ["identity-admin"], "installation")
    assert json.loads(runner.invoke(app, ["list"], catch_exceptions=False).stdout) == [made]
    runner.invoke(app, ["disable", made["id"]], catch_exceptions=False)
    (listed,) = json.loads(runner.invoke(app, ["list"], catch_exceptions=False).stdout)
    assert listed["status"] == "disabled"


def test_a_client_of_the_authorisation_server(world: World) -> None:
    """A registered client is let use the authorisation server by command; what cannot be is refused."""
    client = world.register(ActorKind.CLIENT, "ca-read")
    app, runner = create(lambda: world.identity, Terminal(json=True)), CliRunner()
    arguments = ["oauth", client.actor.id, "--grant", "authorization_code", "--scope", "openid"]
    uri = ["--redirect-uri", "https://bank.example/back"]
    made = json.loads(runner.invoke(app, [*arguments, *uri], catch_exceptions=False).stdout)
    assert made == {
        "client_id": client.actor.id,
        "grants": ["authorization_code"],
        "redirect_uris": ["https://bank.example/back"],
        "scopes": ["openid"],
        "certificate_bound": False,
    }
    with pytest.raises(ClientInvalid):
        runner.invoke(app, arguments, catch_exceptions=False)


def test_a_kind_that_is_none_is_refused(world: World, tmp_path: Path) -> None:
    """Persons, and kinds that do not exist, are refused by command as by API."""
    file = tmp_path / "key.pem"
    file.write_bytes(b"")
    app = create(lambda: world.identity, Terminal())
    for kind in ("person", "king"):
        with pytest.raises(ActorInvalid):
            CliRunner().invoke(
                app, ["register", str(file), "--kind", kind, "--label", "SPECIMEN"], catch_exceptions=False
            )
