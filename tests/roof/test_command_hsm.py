"""``camtrust hsm``: statements about keys, checked without the token; rotation of the master key; PKCS#11 programs."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from camtrust.home import Home
from camtrust.keys import SERVICES, make_token, open_token
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from tests.programs import path, run
from tests.roof.test_command_line import COMMAND, camtrust


def test_statements_and_rotation(tmp_path: Path) -> None:
    """A key is attested; the statement is checked with the token's key alone, and not when it was changed; the master
    key is rotated twice, and the key signs as before.
    """
    home = Home.make(tmp_path / "home")
    make_token(home, SERVICES)
    with open_token(home, SERVICES) as client:
        key = client.generate("specimen-seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
        for number in range(3):
            client.generate_wrapped(f"specimen-{number}", KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)
    statement = tmp_path / "statement.json"
    said = camtrust("hsm", "attest", "specimen-seal", "-o", statement, "--home", home.path, "--json")
    assert said.returncode == 0, said.stderr
    token_key = json.loads(said.stdout)["token_key"]
    checked = camtrust("hsm", "check-statement", statement, "--token-key", token_key, "--json")
    assert checked.returncode == 0, checked.stderr
    told = json.loads(checked.stdout)["statement"]
    assert (told["key_id"], told["emulated"], told["exportable"]) == (key.key_id, True, False)
    by_id = camtrust("hsm", "attest", key.key_id, "--home", home.path)
    assert key.key_id in by_id.stdout
    statement.write_bytes(statement.read_bytes().replace(b'"emulated":true', b'"emulated":false'))
    refused = camtrust("hsm", "check-statement", statement, "--token-key", token_key)
    assert refused.returncode == 4
    assert "foundation.attestation_invalid" in refused.stderr
    for version in (2, 3):
        rotated = camtrust("hsm", "rotate-master", "--home", home.path)
        assert rotated.returncode == 0, rotated.stderr
        assert f"Version {version}" in rotated.stderr + rotated.stdout
    with open_token(home, SERVICES) as client:
        assert client.sign(key.key_id, Mechanism.ECDSA, bytes(32))


def test_a_home_whose_token_was_put_back_signs_nothing(tmp_path: Path) -> None:
    """The witness is in the home beside the token: the token's directory, restored from a copy, is noticed."""
    home = Home.make(tmp_path / "home")
    make_token(home, SERVICES)
    token = home.path / SERVICES
    with open_token(home, SERVICES) as client:
        key = client.generate("specimen-seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    shutil.copytree(token, tmp_path / "copy")
    with open_token(home, SERVICES) as client:
        client.sign(key.key_id, Mechanism.ECDSA, bytes(32))
    shutil.rmtree(token)
    shutil.copytree(tmp_path / "copy", token)
    refused = camtrust("hsm", "attest", "specimen-seal", "--home", home.path)
    assert refused.returncode == 4
    assert "foundation.token_store_rolled_back" in refused.stderr
    assert camtrust("hsm", "inventory", "--home", home.path).returncode == 0


def test_a_token_that_cards_open(tmp_path: Path) -> None:
    """Five card files, readable by their owner alone; three open the token, two do not; no PIN does."""
    home, cards = tmp_path / "home", tmp_path / "cards"
    made = camtrust("hsm", "init", "--token", "root", "--cards", "3of5", "--cards-to", cards, "--home", home, "--json")
    assert made.returncode == 0
    files = sorted(cards.iterdir())
    assert [str(file) for file in files] == json.loads(made.stdout)["card_files"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert not list(home.rglob("user.pin"))

    def login(*chosen: Path) -> subprocess.CompletedProcess[str]:
        arguments = [part for card in chosen for part in ("--card", card)]
        return camtrust("hsm", "login-quorum", "--token", "root", *arguments, "--home", home, "--json")

    opened = login(*files[1:4])
    assert (opened.returncode, json.loads(opened.stdout)["cards"]) == (0, "3of5")
    assert (login(*files[:2]).returncode, "cards_too_few" in login(*files[:2]).stderr) == (4, True)
    assert "cards_repeated" in login(files[0], files[0], files[1]).stderr
    assert "cards_too_few" in login().stderr  # no terminal to ask at
    refused = camtrust("hsm", "inventory", "--token", "root", "--home", home)
    assert (refused.returncode, "token_cards_required" in refused.stderr) == (4, True)


def test_custodians_approve_by_files(tmp_path: Path) -> None:
    """Custodians are set, a CA key is refused, requested, approved by two of three with their own keys, and made."""
    home = tmp_path / "home"
    keys = [tmp_path / f"custodian-{number}.pem" for number in range(3)]
    people = []
    for number, file in enumerate(keys):
        key = ec.generate_private_key(ec.SECP256R1())
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        people.append({"name": f"SPECIMEN {number}", "public_key": base64.b64encode(public).decode()})
    listed, arguments, request = (tmp_path / name for name in ("custodians.json", "arguments.json", "request.json"))
    listed.write_text(json.dumps({"threshold": 2, "people": people}))
    arguments.write_text(
        json.dumps({"label": "root", "algorithm": "ec-p256", "use": "root-ca", "owner": None, "policy": None})
    )
    assert camtrust("hsm", "init", "--token", "root", "--home", home).returncode == 0
    assert camtrust("hsm", "custodians", "--set", listed, "--home", home).returncode == 0
    again = camtrust("hsm", "custodians", "--set", listed, "--home", home)
    assert (again.returncode, "quorum_required" in again.stderr) == (4, True)
    asked = camtrust("hsm", "request", "generate", "--arguments", arguments, "-o", request, "--home", home, "--json")
    approvals = []
    for number, file in enumerate(keys[:2]):
        approvals.append(tmp_path / f"approval-{number}.json")
        made = camtrust("hsm", "approve", request, "--key", file, "-o", approvals[-1], "--yes", "--json")
        assert json.loads(made.stdout)["sha256"] == json.loads(asked.stdout)["sha256"]
    few = camtrust("hsm", "perform", request, approvals[0], "--home", home)
    assert (few.returncode, "quorum_too_few" in few.stderr) == (4, True)
    done = camtrust("hsm", "perform", request, *approvals, "--home", home, "--json")
    assert (done.returncode, json.loads(done.stdout)["done"]["use"]) == (0, "root-ca")
    told = json.loads(camtrust("hsm", "inventory", "--token", "root", "--home", home, "--json").stdout)
    assert (told["quorum"], told["keys"][0]["use"]) == ("2of3", "root-ca")


def test_a_backup_from_the_command_line(tmp_path: Path) -> None:
    """Backed up, the home lost, put back into another with the SO's PIN; a file is not overwritten, nor a token."""
    home, other, file = tmp_path / "home", tmp_path / "other", tmp_path / "token.backup"
    assert camtrust("hsm", "init", "--token", "root", "--home", home).returncode == 0
    assert camtrust("hsm", "backup", file, "--token", "root", "--home", home).returncode == 0
    again = camtrust("hsm", "backup", file, "--token", "root", "--home", home)
    assert (again.returncode, "token_backup_exists" in again.stderr) == (4, True)
    pin = ("--so-pin-file", home / "root/token/so.pin")
    back = camtrust("hsm", "restore", file, "--token", "root", *pin, "--home", other, "--json")
    assert (back.returncode, json.loads(back.stdout)["waits_for_quorum"]) == (0, False)
    over = camtrust("hsm", "restore", file, "--token", "root", *pin, "--home", other)
    assert (over.returncode, "token_already_initialised" in over.stderr) == (4, True)


def test_serve_opens_a_door_for_pkcs11_programs(tmp_path: Path) -> None:
    """``hsm serve --pkcs11`` says where programs find the token; pkcs11-tool finds it there; both end together."""
    home = Home.make(tmp_path / "home")
    make_token(home, SERVICES)
    place = Path(tempfile.mkdtemp(prefix="camtrust-door-")) / "door" / "p11.sock"
    command = [*COMMAND, "hsm", "serve", "--pkcs11", str(place), "--home", str(home.path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as serving:
        assert serving.stderr is not None
        patience = threading.Timer(60, serving.kill)
        patience.start()
        said = ""
        while "Ctrl-C" not in said and (line := serving.stderr.readline()):
            said += line
        assert f"P11_KIT_SERVER_ADDRESS=unix:path={place}" in said
        address = {"P11_KIT_SERVER_ADDRESS": f"unix:path={place}"}
        slots = run("pkcs11-tool", "--module", path("p11-kit-client.so"), "--list-slots", env=address).stdout
        serving.send_signal(signal.SIGINT)
        serving.wait(30)
        patience.cancel()
    assert "CamTrust emulated HSM" in slots
    assert not place.exists()
    shutil.rmtree(place.parent.parent)
