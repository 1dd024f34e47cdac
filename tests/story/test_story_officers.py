"""An officer at a terminal: `camtrust ekyc decide`, against services that run, with the officer's own key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from camtrust.cli import ekyc as commands
from camtrust.cli.context import Context
from camtrust.errors import OfficerKeyUnusable, ServiceRefused
from foundation.http.actor import ActorKind
from foundation.terminal import Terminal
from tests.story.installation import Installation, Staff


def pem(key: Any, file: Path) -> Path:
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return file


def test_an_officer_looks_and_decides(
    assembled: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The case first, with its digest; then the decision on that digest. Another officer's case, other evidence and
    a key that is none are refused, each with its code."""
    person = assembled.applicant().until("match")
    name, officer = person.enrolment["id"], assembled.officer
    group = typer.main.get_command(commands.create(Context(terminal=Terminal(json=True), home_path=None)))

    def decide(staff: Staff, *arguments: str) -> dict[str, Any]:
        key = pem(staff._key, tmp_path / "key.pem")
        origin = assembled.services.settings.public_url
        to = ["--officer", staff.id, "--key", str(key), "--url", assembled.url, "--origin", origin]
        group(["decide", name, *to, *arguments], standalone_mode=False)
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    case = decide(officer)
    shown = [one["content"] for one in case["evidence"] if one["kind"] == "document"]
    assert shown[-1]["document_number"] == person.person.document_number
    stranger = assembled.staff(ActorKind.OFFICER, "ekyc-appeals")
    for staff, evidence, code in (
        (stranger, case["evidence_digest"], "foundation.forbidden"),
        (officer, "0" * 64, "ekyc.evidence_changed"),
    ):
        with pytest.raises(ServiceRefused) as told:
            decide(staff, "--decision", "bind", "--reason", "person-is-holder", "--evidence", evidence)
        assert told.value.params["code"] == code
    moved = decide(officer, "--decision", "bind", "--reason", "person-is-holder", "--evidence", case["evidence_digest"])
    assert (moved["state"], person.state()) == ("APPROVED", "APPROVED")
    bad = pem(rsa.generate_private_key(65537, 2048), tmp_path / "rsa.pem")
    with pytest.raises(OfficerKeyUnusable):
        group(
            ["decide", name, "--officer", officer.id, "--key", str(bad), "--url", assembled.url], standalone_mode=False
        )
