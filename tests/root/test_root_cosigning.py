"""Custodians and witnesses sign the transcript with keys of their own; what they did not sign is no record."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from camtrust.ceremony_room import Rfc3161
from root_ca.ceremony_file import load_ceremony
from root_ca.checks import examine
from root_ca.cosigning import FileKey, cosign
from root_ca.errors import CosigningRefused, OutputExists
from root_ca.service import verify
from root_ca.verification import Verification
from tests import programs
from tests.root.people_world import PASSWORD, Person, name_them, people
from tests.root.root_world import MemoryKeyStore, perform_file, prepare

RECORD = "1-root.transcript.json"


class Room(NamedTuple):
    """The first act, performed with people named in its file."""

    folder: Path
    persons: tuple[Person, ...]

    @property
    def record(self) -> Path:
        return self.folder / RECORD

    def signature(self, number: int) -> Path:
        return self.folder / f"{RECORD}.{number}.signature.json"

    def sign(self, person: Person) -> None:
        act = load_ceremony(self.folder / "1-root.toml").act
        cosign(self.record, act.people, FileKey(person.key, PASSWORD if person.encrypted else None))


@pytest.fixture(scope="module")
def _performed(tmp_path_factory: pytest.TempPathFactory) -> Room:
    folder = tmp_path_factory.mktemp("signed") / "root"
    folder.mkdir()
    prepare(folder)
    persons = people(folder.parent / "people")
    name_them(folder / "1-root.toml", persons)
    perform_file(folder / "1-root.toml", MemoryKeyStore())
    return Room(folder, persons)


@pytest.fixture
def room(_performed: Room, tmp_path: Path) -> Room:
    shutil.copytree(_performed.folder, tmp_path / "root")
    return Room(tmp_path / "root", _performed.persons)


@pytest.fixture
def signed(room: Room) -> Room:
    """Everybody has signed."""
    for person in room.persons:
        room.sign(person)
    return room


def _found(result: Verification) -> list[tuple[str, str]]:
    return [(one.rule, one.artifact) for one in result.problems]


def test_verification_names_who_signed(signed: Room) -> None:
    """Three people with keys of three kinds; each is named with role and key."""
    result = verify(signed.record)
    assert result.problems == []
    assert [(one.name, one.role, one.key_sha256) for one in result.acts[0].cosigners] == [
        (person.name, person.role, person.sha256) for person in signed.persons
    ]


def test_a_missing_signature_is_named(signed: Room) -> None:
    """ROOT-COSIGNED: whoever the ceremony file names must have signed; and the next act waits for it."""
    signed.signature(3).unlink()
    result = verify(signed.record)
    assert _found(result) == [("ROOT-COSIGNED", signed.signature(3).name)]
    assert "witness SPECIMEN witness 3 has not signed" in result.problems[0].message
    checked = examine(load_ceremony(signed.folder / "2-issuing.toml")).results
    assert next(one.rule for one in checked if one.passed is False) == "ROOT-CHAIN"


def test_before_they_sign_the_record_can_be_verified_without_them(room: Room) -> None:
    """``unsigned`` is for the people who are about to sign, and does not excuse a wrong signature."""
    assert not verify(room.record).valid
    assert verify(room.record, unsigned=True).valid
    room.signature(2).write_bytes(b"{}")
    assert _found(verify(room.record, unsigned=True)) == [("ROOT-COSIGNED", room.signature(2).name)]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_changed_octet_of_a_signature_is_named(signed: Room, number: int) -> None:
    """Change any octet of a signature file: exactly that file is named."""
    path = signed.signature(number)
    original = path.read_bytes()
    for position in range(0, len(original), 7):
        path.write_bytes(original[:position] + bytes([original[position] ^ 1]) + original[position + 1 :])
        assert _found(verify(signed.record)) == [("ROOT-COSIGNED", path.name)]


def test_a_signature_in_another_persons_place_is_refused(signed: Room) -> None:
    """A signature counts for the person whose key it is, and for this transcript."""
    signed.signature(1).write_bytes(signed.signature(2).read_bytes())
    assert _found(verify(signed.record)) == [("ROOT-COSIGNED", signed.signature(1).name)]


def test_a_name_cannot_be_changed_under_a_signature(signed: Room) -> None:
    """Name and role are signed too."""
    value = json.loads(signed.signature(1).read_bytes())
    value["role"] = "witness"
    signed.signature(1).write_text(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
    text = (signed.folder / "1-root.toml").read_text()
    (signed.folder / "1-root.toml").write_text(text.replace('role = "custodian"', 'role = "witness"', 1))
    assert not verify(signed.record).valid


def test_a_stranger_cannot_sign(room: Room, tmp_path: Path) -> None:
    """Only a key that the ceremony file names; and nobody signs twice."""
    stranger = people(tmp_path / "strangers")[2]
    with pytest.raises(CosigningRefused):
        room.sign(stranger)
    room.sign(room.persons[1])
    with pytest.raises(OutputExists):
        room.sign(room.persons[1])


def test_a_wrong_password_is_refused_without_a_trace(room: Room) -> None:
    """The key is not opened, nothing is written, and the password is in no message."""
    with pytest.raises(CosigningRefused) as refusal:
        FileKey(room.persons[0].key, "not the password")
    assert "not the password" not in refusal.value.message()
    assert not room.signature(1).exists()


def _stamp(folder: Path, data: Path) -> bytes:
    """A timestamp response by OpenSSL over a file."""
    config = folder / "tsa.cnf"
    config.write_text(
        "[req]\ndistinguished_name = dn\nprompt = no\nx509_extensions = unit\n[dn]\nCN = SPECIMEN TSA\n"
        "[unit]\nbasicConstraints = critical,CA:false\nkeyUsage = critical,digitalSignature\n"
        "extendedKeyUsage = critical,timeStamping\n"
        f"[tsa]\ndefault_tsa = t\n[t]\nserial = {folder}/serial\ndefault_policy = 2.999.116.2.1\n"
        "digests = sha256\nsigner_digest = sha256\ness_cert_id_alg = sha256\naccuracy = secs:1\n"
    )
    programs.run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
        "-config", config, "-keyout", folder / "tsa.key", "-out", folder / "tsa.pem",
    )  # fmt: skip
    programs.run(
        "openssl", "ts", "-query", "-data", data, "-sha256", "-cert", "-config", config, "-out", folder / "query.tsq"
    )
    programs.run(
        "openssl", "ts", "-reply", "-config", config, "-section", "t", "-queryfile", folder / "query.tsq",
        "-signer", folder / "tsa.pem", "-inkey", folder / "tsa.key", "-out", folder / "answer.tsr",
    )  # fmt: skip
    return (folder / "answer.tsr").read_bytes()


def test_a_timestamp_of_the_transcript_is_verified(signed: Room, tmp_path: Path) -> None:
    """An RFC 3161 response beside the transcript, made by OpenSSL: its time and unit are named."""
    (signed.folder / f"{RECORD}.tsr").write_bytes(_stamp(tmp_path, signed.record))
    result = verify(signed.record, timestamps=Rfc3161())
    assert result.problems == []
    assert result.acts[0].timestamp is not None
    assert result.acts[0].timestamp.unit == "CN=SPECIMEN TSA"


def test_a_timestamp_of_something_else_is_named(signed: Room, tmp_path: Path) -> None:
    """ROOT-TIMESTAMP: one over another file, one with a changed octet, and octets that are none."""
    stamp, file = _stamp(tmp_path, signed.folder / "root.pem"), signed.folder / f"{RECORD}.tsr"
    right = _stamp(tmp_path, signed.record)
    for wrong in (stamp, right[:-1] + bytes([right[-1] ^ 1]), b"", b"\x30\x00"):
        file.write_bytes(wrong)
        assert _found(verify(signed.record, timestamps=Rfc3161())) == [("ROOT-TIMESTAMP", file.name)]


def test_without_a_checker_a_timestamp_is_not_called_good(signed: Room, tmp_path: Path) -> None:
    """It stands among the notes; the record counts without it."""
    (signed.folder / f"{RECORD}.tsr").write_bytes(b"anything")
    result = verify(signed.record)
    assert result.valid
    assert result.acts[0].timestamp is None
    assert "timestamps are not checked" in result.notes[0]
