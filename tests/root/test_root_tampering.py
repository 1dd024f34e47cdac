"""Any change of any artifact is found, and the file that was changed is named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.keys.handles import private_key
from foundation.keys.port import KeyAlgorithm
from foundation.x509 import der
from foundation.x509.algorithms import sign, throwaway_key
from foundation.x509.pem import certificate_pem, read_certificate
from root_ca import transcript as transcripts
from root_ca.service import verify
from tests.root.conftest import Done

ARTIFACTS = [
    "1-root.toml", "2-issuing.toml", "3-tsa.toml", "4-root-ocsp.toml", "5-root-crl.toml",
    "issuing.csr", "tsa.csr", "root-ocsp.csr",
    "root.pem", "issuing.pem", "tsa.pem", "root-ocsp.pem", "root.crl",
    "1-root.transcript.json", "2-issuing.transcript.json", "3-tsa.transcript.json", "4-root-ocsp.transcript.json",
    "transcript.json",
]  # fmt: skip


def test_the_list_of_artifacts_is_complete(done: Done) -> None:
    """What follows changes every file of the ceremony."""
    assert set(ARTIFACTS) == {path.name for path in done.folder.iterdir()}


def test_a_changed_word_about_the_past_is_not_blamed_on_the_past(done: Done) -> None:
    """The digest of the previous transcript, changed in the last one: the last one is named, not the one before."""
    path = done.folder / "transcript.json"
    sha256 = json.loads(path.read_bytes())["header"]["previous"]["sha256"]
    changed = ("0" if sha256[0] != "0" else "1") + sha256[1:]
    path.write_bytes(path.read_bytes().replace(sha256.encode(), changed.encode(), 1))
    assert {(one.rule, one.artifact) for one in verify(path).problems} == {("ROOT-TRANSCRIPT", "transcript.json")}


@pytest.mark.parametrize("name", ARTIFACTS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_changed_octet_is_found_and_its_file_named(name: str, done: Done, data: st.DataObject) -> None:
    """Change any octet of any file by any amount: verification fails, and names exactly that file."""
    path = done.folder / name
    original = path.read_bytes()
    position = data.draw(st.integers(0, len(original) - 1))
    by = data.draw(st.integers(1, 255))
    path.write_bytes(original[:position] + bytes([original[position] ^ by]) + original[position + 1 :])
    try:
        result = verify(done.folder / "transcript.json")
    finally:
        path.write_bytes(original)
    assert not result.valid
    assert {problem.artifact for problem in result.problems} == {name}


LATER_ARTIFACTS = [
    "6-twin.toml", "7-cross.toml", "8-licensed.toml", "9-rollover.toml", "10-emergency.toml", "11-end.toml",
    "12-destroy.toml", "other.csr", "other.pem", "licensed.csr", "audit-report.pdf", "twin.pem", "twin-by-new.pem",
    "twin-by-old.pem", "cross.pem", "licensed.pem", "licensed-status.json", "root-2.pem", "old-with-new.pem",
    "new-with-old.pem", "emergency.crl", "emergency-notice.json", "last.crl", "end-notice.json", "destroyed.json",
    "6-twin.transcript.json", "7-cross.transcript.json", "8-licensed.transcript.json", "9-rollover.transcript.json",
    "10-emergency.transcript.json", "11-end.transcript.json", "12-destroy.transcript.json",
]  # fmt: skip


def test_the_list_of_later_artifacts_is_complete(lived: Done) -> None:
    """What follows changes every file of a root's whole life."""
    assert {*ARTIFACTS, *LATER_ARTIFACTS} == {path.name for path in lived.folder.iterdir()}


@pytest.mark.parametrize("name", LATER_ARTIFACTS)
def test_a_changed_octet_of_a_later_act_is_found_and_its_file_named(name: str, lived: Done) -> None:
    """Change an octet at the beginning, in the middle or at the end: verification fails, and names that file alone."""
    path = lived.folder / name
    original = path.read_bytes()
    for position in (0, len(original) // 2, len(original) - 1):
        path.write_bytes(original[:position] + bytes([original[position] ^ 1]) + original[position + 1 :])
        result = verify(lived.folder / "12-destroy.transcript.json")
        assert not result.valid
        assert {problem.artifact for problem in result.problems} == {name}


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ("8-licensed.transcript.json", "licensed-status.json"),
        ("10-emergency.transcript.json", "emergency-notice.json"),
        ("12-destroy.transcript.json", "destroyed.json"),
    ],
)
def test_a_changed_notice_with_a_matching_record_is_still_found(record: str, name: str, lived: Done) -> None:
    """Even with the audit key, a record cannot vouch for a notice or status that its ceremony file does not give."""
    path, changed = lived.folder / record, (lived.folder / name).read_bytes().replace(b"SPECIMEN", b"SPECIMAN")
    (lived.folder / name).write_bytes(changed)
    digest = hashlib.sha256(changed).hexdigest()
    forged = _rewrite(path, lambda value: value["steps"][-1]["outputs"].update({name: digest}))
    path.write_bytes(_resigned(lived, forged))
    assert [(one.rule, one.artifact) for one in verify(path).problems] == [("ROOT-REBUILD", name)]


@pytest.mark.parametrize("name", ARTIFACTS)
@pytest.mark.parametrize("how", ["missing", "longer", "shorter"])
def test_a_missing_or_cut_file_is_named(name: str, how: str, done: Done) -> None:
    """A file that is gone, cut by an octet or one octet longer is named."""
    path = done.folder / name
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"\n" if how == "longer" else path.read_bytes()[:-1])
    result = verify(done.folder / "transcript.json")
    assert not result.valid
    assert {problem.artifact for problem in result.problems} == {name}
    about = {problem.rule for problem in result.problems}
    if name == "transcript.json":
        assert about <= {"ROOT-TRANSCRIPT", "ROOT-ARTIFACT"}
    elif how != "missing" and name.endswith("transcript.json"):
        assert about == {"ROOT-PREVIOUS"}
    else:
        assert about == {"ROOT-ARTIFACT"}


def _rewrite(path: Path, change) -> transcripts.Transcript:  # type: ignore[no-untyped-def]
    """A transcript with changed content whose step hashes are right again, as a forger would make it."""
    value = json.loads(path.read_bytes())
    change(value)
    header = transcripts.Header.model_validate(value["header"])
    writer = transcripts.TranscriptWriter(header)
    for step in value["steps"]:
        at = transcripts.parse_rfc3339(step["at"])
        writer.add(step["rule"], at, step["inputs"], step["outputs"])
    return transcripts.Transcript(
        header=header, steps=tuple(writer.steps), audit_key=value["audit_key"], signature=value["signature"]
    )


def _resigned(done: Done, forged: transcripts.Transcript) -> bytes:
    """The forged transcript signed with the real audit key: the strongest forger."""
    writer = transcripts.TranscriptWriter(forged.header)
    writer.steps = list(forged.steps)
    audit = done.store.find(label="root-audit-1")[0]
    return writer.sign(private_key(done.store, audit), audit.public_key)


def test_a_forger_who_chains_the_steps_anew_has_no_audit_key(done: Done) -> None:
    """Right hashes over changed steps do not help: the audit key did not sign them."""
    path = done.folder / "transcript.json"
    forged = _rewrite(path, lambda value: value["steps"][1]["outputs"].update(words="so we say"))
    path.write_bytes(transcripts.render(forged))
    assert [problem.message for problem in verify(path).problems] == ["the audit key did not sign it"]


def test_a_forger_with_an_audit_key_of_his_own_is_named(done: Done) -> None:
    """Signing with another audit key, and naming it, contradicts the first transcript."""
    path = done.folder / "transcript.json"
    key = throwaway_key(KeyAlgorithm.EC_P384)
    forged = _rewrite(path, lambda value: value["steps"][1]["outputs"].update(words="so we say"))
    writer = transcripts.TranscriptWriter(forged.header)
    writer.steps = list(forged.steps)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    path.write_bytes(writer.sign(key, public))
    result = verify(path)
    assert [problem.rule for problem in result.problems] == ["ROOT-TRANSCRIPT"]
    assert "another audit key" in result.problems[0].message


def test_a_changed_certificate_with_a_matching_record_is_still_found(done: Done) -> None:
    """Even with the audit key, a record cannot vouch for a certificate that its inputs do not give."""
    record, other = done.folder / "2-issuing.transcript.json", (done.folder / "tsa.pem").read_bytes()
    (done.folder / "issuing.pem").write_bytes(other)
    digest = hashlib.sha256(other).hexdigest()
    forged = _rewrite(record, lambda value: value["steps"][-1]["outputs"].update({"issuing.pem": digest}))
    record.write_bytes(_resigned(done, forged))
    result = verify(record)
    assert ("ROOT-REBUILD", "issuing.pem") in [(problem.rule, problem.artifact) for problem in result.problems]


def test_a_signature_of_another_key_over_the_right_bytes_is_found(done: Done) -> None:
    """ROOT-SIGNATURE: the to-be-signed bytes are right, the record matches, but the root key did not sign."""
    certificate = read_certificate((done.folder / "issuing.pem").read_bytes())
    tbs, algorithm, _ = der.children(certificate.public_bytes(Encoding.DER))
    signature = der.bit_string(sign(throwaway_key(KeyAlgorithm.EC_P384), tbs))
    forged_der = der.sequence([tbs, algorithm, signature])
    pem = certificate_pem(read_certificate(forged_der))
    (done.folder / "issuing.pem").write_bytes(pem)
    record = done.folder / "2-issuing.transcript.json"
    digest = hashlib.sha256(pem).hexdigest()
    forged = _rewrite(record, lambda value: value["steps"][-1]["outputs"].update({"issuing.pem": digest}))
    record.write_bytes(_resigned(done, forged))
    assert [(one.rule, one.artifact) for one in verify(record).problems] == [("ROOT-SIGNATURE", "issuing.pem")]


def test_a_transcript_of_a_rehearsal_is_no_record(done: Done) -> None:
    """A header that says rehearsal is refused even when the audit key signed it."""
    record = done.folder / "transcript.json"
    forged = _rewrite(record, lambda value: value["header"].update(rehearsal=True))
    record.write_bytes(_resigned(done, forged))
    assert [problem.message for problem in verify(record).problems] == ["it records a rehearsal"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"header": 1}', b"null"])
def test_what_is_not_a_transcript_gives_a_verdict(content: bytes, tmp_path: Path) -> None:
    """Verification never raises for what it reads."""
    (tmp_path / "t.json").write_bytes(content)
    assert [problem.rule for problem in verify(tmp_path / "t.json").problems] == ["ROOT-TRANSCRIPT"]


def test_the_record_can_be_moved(done: Done) -> None:
    """The same folder verifies elsewhere, without the token: its paths are its own."""
    moved = done.folder.rename(done.folder.parent / "stick")
    assert verify(moved / "transcript.json").valid
