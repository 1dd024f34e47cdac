"""`camtrust ekyc import-csca`: officers with keys of their own, one who brings and another who approves."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from camtrust.cli import ekyc as commands
from camtrust.cli import ekyc_trust
from camtrust.cli.context import Context
from ekyc.evidence.errors import (
    CrlNotAnchored,
    SecondOfficerNeeded,
    TrustDigestDiffers,
)
from foundation.http.actor import Actor, Credential, Forbidden, Unauthenticated
from foundation.terminal import Terminal
from identity.assertion import check_binding, check_signature, make_assertion, read_assertion
from tests.ekyc.chip_parties import authority, crl
from tests.ekyc.master_lists import master_list
from tests.ekyc.story import KEEPERS, OFFICER, World

ACTORS = {"one": KEEPERS[0], "two": KEEPERS[1], "clerk": OFFICER}
IMPORTS, CRLS = "/ekyc/v1/chip-trust/imports", "/ekyc/v1/chip-trust/crls"
Command = Callable[..., dict[str, Any]]


@pytest.fixture
def command(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Runs the command for an officer (by name), signed with the key of another where one is named, for another
    address where one is given; gives its JSON."""
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ACTORS}

    def authenticate(credential: Credential) -> Actor:
        given = read_assertion(credential.authorization.partition(" ")[2])
        name = next(one for one, actor in ACTORS.items() if actor.id == given.issuer)
        check_signature(given, keys[name].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        check_binding(given, credential, "http://testserver", world.clock.now())
        return ACTORS[name]

    @contextmanager
    def services_of(_: Context) -> Iterator[SimpleNamespace]:
        settings, identity = SimpleNamespace(public_url="http://testserver"), SimpleNamespace(authenticate=authenticate)
        yield SimpleNamespace(ekyc=world.service, settings=settings, identity=identity, clock=world.clock)

    monkeypatch.setattr(ekyc_trust, "services_of", services_of)
    group = typer.main.get_command(commands.create(Context(terminal=Terminal(json=True), home_path=None)))

    def run(
        officer: str, data: bytes, *options: str, key: str | None = None, path: str = IMPORTS, signed: bytes = b""
    ) -> dict[str, Any]:
        file, assertion = tmp_path / "file", tmp_path / "assertion"
        file.write_bytes(data)
        url, jti = f"http://testserver{path}", secrets.token_urlsafe(24)
        signer, now = keys[key or officer], world.clock.now()
        header = make_assertion(signer, ACTORS[officer].id, "http://testserver", "POST", url, signed or data, now, jti)
        assertion.write_text(f"Authorization: {header}\n")
        group(["import-csca", str(file), "--assertion", str(assertion), *options], standalone_mode=False)
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return run


def test_one_brings_and_another_approves(world: World, command: Command) -> None:
    """Brought by one, approved by another with their own copy; then a CRL; each under the officer's name."""
    data = master_list([authority().certificate])
    brought = command("one", data)
    assert (brought["state"], brought["imported_by"], len(brought["authorities"])) == ("pending", str(KEEPERS[0]), 1)
    with pytest.raises(CrlNotAnchored):
        command("one", crl(authority()), "--crl", path=CRLS)
    word = ("--approve", brought["id"])
    approval = f"{IMPORTS}/{brought['id']}/approval"
    with pytest.raises(SecondOfficerNeeded):
        command("one", data, *word, path=approval)
    with pytest.raises(TrustDigestDiffers):
        command("two", data + b"x", *word, path=approval)
    for path, signed in ((IMPORTS, b""), (f"{IMPORTS}/{brought['id']}/rejection", b""), (approval, b"another file")):
        with pytest.raises(Unauthenticated):
            command("two", data, *word, path=path, signed=signed)
    approved = command("two", data, *word, path=approval)
    assert (approved["state"], approved["decided_by"]) == ("approved", str(KEEPERS[1]))
    assert len(command("one", crl(authority()), "--crl", path=CRLS)["sha256"]) == 64
    assert len(world.service.chip_trust.trusted(None, 10)) == 1


def test_the_machine_cannot_stand_in_for_an_officer(world: World, command: Command) -> None:
    """Another's key, and an officer without the role, bring nothing; a file can be rejected."""
    data = authority().certificate
    with pytest.raises(Unauthenticated):
        command("one", data, key="two")
    with pytest.raises(Forbidden):
        command("clerk", data)
    assert world.service.chip_trust.imports(None, 10) == ()
    brought = command("one", data)
    rejection = f"{IMPORTS}/{brought['id']}/rejection"
    assert command("two", data, "--reject", brought["id"], path=rejection)["state"] == "rejected"
    assert world.service.chip_trust.trusted(None, 10) == ()
    with pytest.raises(typer.BadParameter):
        command("two", data, "--reject", brought["id"], "--approve", brought["id"])
