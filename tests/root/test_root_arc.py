"""A root under an arc of the operator's own: what its files name, in certificates, transcripts and their replay."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from foundation.clock import SetClock
from foundation.keys.handles import private_key
from foundation.x509.csr import build_csr
from foundation.x509.names import subject_name
from root_ca import checks
from root_ca import transcript as transcripts
from root_ca.ceremonies import AUDIT_LABEL, ISSUING_SUBJECT, OCSP_SUBJECT, TSA_SUBJECT, Act, root_crl_act, specimen_acts
from root_ca.ceremony_file import load_ceremony
from root_ca.errors import CeremonyInvalid, CeremonyRefused
from root_ca.later_acts import LICENSED_SUBJECT, licensed_ca, rollover, twin_root
from root_ca.service import Briefing, check, perform, rehearse, verify
from tests import programs
from tests.root.root_world import BEGIN, NOW, PLACE, MemoryKeyStore, perform_all, perform_file, say

OWN = "2.16.116.99999"
POLICIES = f'\n[policies]\narc = "{OWN}"\n'


def own(text: str, policies: str = POLICIES) -> str:
    """A specimen's file as an operator would write it: names of its own, and the arc."""
    return text.replace("SPECIMEN ", "") + policies


def write(folder: Path, file: str, text: str) -> Path:
    (folder / file).write_text(text, encoding="utf-8")
    return folder / file


def request(subject: tuple[tuple[str, str], ...]) -> bytes:
    named = subject_name([(name, value.replace("SPECIMEN ", "")) for name, value in subject])
    return build_csr(named, ec.generate_private_key(ec.SECP384R1()))


@pytest.fixture
def acts(tmp_path: Path) -> tuple[Act, ...]:
    """The five files of a root with an arc of its own, and the requests beside them."""
    made = specimen_acts(BEGIN, PLACE)
    for act in made:
        write(tmp_path, act.file, own(act.text))
    for name, subject in (("issuing", ISSUING_SUBJECT), ("tsa", TSA_SUBJECT), ("root-ocsp", OCSP_SUBJECT)):
        (tmp_path / f"{name}.csr").write_bytes(request(subject))
    return made


def policies_of(certificate: x509.Certificate) -> list[str]:
    found = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    return [one.policy_identifier.dotted_string for one in found]


def test_certificates_have_their_policies_below_it_and_the_replay_holds(tmp_path: Path, acts: tuple[Act, ...]) -> None:
    """The responder's policy is the operator's, no certificate names the example arc, and openssl reads the same; every
    structure is rebuilt bit for bit, with no note of a changed profile."""
    perform_all(tmp_path, MemoryKeyStore(), acts)
    result = verify(tmp_path / "transcript.json")
    assert (result.problems, result.notes, len(result.acts)) == ([], [], 5)
    assert policies_of(x509.load_pem_x509_certificate((tmp_path / "root-ocsp.pem").read_bytes())) == [f"{OWN}.3.1"]
    for name in ("root", "issuing", "tsa", "root-ocsp"):
        text = programs.run("openssl", "x509", "-in", tmp_path / f"{name}.pem", "-noout", "-text").stdout
        assert "2.999" not in text
        assert "SPECIMEN" not in text
    assert f"Policy: {OWN}.3.1" in text


def test_later_acts_go_on_under_it(tmp_path: Path, acts: tuple[Act, ...]) -> None:
    """A licensed CA gets the operator's policy; a twin and a rollover make roots of the same arc; all is replayed."""
    store = MemoryKeyStore()
    perform_all(tmp_path, store, acts)
    (tmp_path / "audit-report.pdf").write_bytes(b"%PDF")
    (tmp_path / "licensed.csr").write_bytes(request(LICENSED_SUBJECT))
    sha256 = hashlib.sha256(b"%PDF").hexdigest()
    root = x509.load_pem_x509_certificate((tmp_path / "root.pem").read_bytes())
    files = [
        ("6.toml", licensed_ca(BEGIN, PLACE, sha256, "transcript.json", "6.json")),
        ("7.toml", twin_root(BEGIN, "6.json", "7.json").replace("គំរូ។ ", "")),
        ("8.toml", rollover(BEGIN.replace(day=2), root.not_valid_after_utc, PLACE, "7.json", "8.json")),
    ]
    for file, text in files:
        perform_file(write(tmp_path, file, own(text)), store)
    result = verify(tmp_path / "8.json")
    assert (result.problems, result.notes, len(result.acts)) == ([], [], 8)
    assert policies_of(x509.load_pem_x509_certificate((tmp_path / "licensed.pem").read_bytes())) == [f"{OWN}.4.1"]
    assert {state.arc for state in result.states} == {OWN}


def test_the_briefing_and_the_rehearsal_have_it(tmp_path: Path, acts: tuple[Act, ...]) -> None:
    """Officers see the arc before they type the words; the identical file is rehearsed on throwaway keys."""
    store, seen = MemoryKeyStore(), []
    perform_file(tmp_path / acts[0].file, store)

    def read(briefing: Briefing) -> str:
        seen.append(briefing.arc)
        return say(briefing)

    rehearse(load_ceremony(tmp_path / acts[1].file), MemoryKeyStore(), SetClock(NOW))
    assert not (tmp_path / "issuing.pem").exists()
    perform(load_ceremony(tmp_path / acts[1].file), store, SetClock(NOW), read)
    assert seen == [OWN]


@pytest.mark.parametrize("other", [None, "2.16.116.88888", "2.999.116"])
def test_an_act_under_another_arc_is_refused(tmp_path: Path, acts: tuple[Act, ...], other: str | None) -> None:
    """None, another operator's, and that of examples: ROOT-ARC, and nothing is signed. A CRL names it too."""
    store, policies = MemoryKeyStore(), f'\n[policies]\narc = "{other}"\n' if other else ""
    perform_file(tmp_path / acts[0].file, store)
    crl = root_crl_act(BEGIN, 1, "1-root.transcript.json", "root.crl", "crl.json")
    for text in (acts[1].text, crl):
        file = write(tmp_path, "other.toml", own(text, policies))
        signed = len(store.signed)
        failed = [one.rule for one in check(load_ceremony(file)) if one.passed is False]
        assert failed[0] == "ROOT-ARC"
        with pytest.raises(CeremonyRefused):
            perform_file(file, store)
        assert len(store.signed) == signed


def test_the_replay_finds_an_act_that_was_performed_under_another_arc(
    tmp_path: Path, acts: tuple[Act, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By software whose check was switched off: whoever verifies the transcript has the rule too."""
    store = MemoryKeyStore()
    perform_file(tmp_path / acts[0].file, store)
    other = '\n[policies]\narc = "2.16.116.88888"\n'
    with monkeypatch.context() as patch:
        patch.setattr(checks, "broken_rules", lambda *_: iter(()))
        perform_file(write(tmp_path, acts[1].file, own(acts[1].text, other)), store)
    assert [one.rule for one in verify(tmp_path / acts[1].transcript).problems] == ["ROOT-ARC"]


@pytest.mark.parametrize("dotted", ["2.16.116", "2.5.29.32", "x", "1.3.6.1.4.1", "2.16.116.01"])
def test_what_is_no_operator_s_arc_is_no_ceremony(tmp_path: Path, acts: tuple[Act, ...], dotted: str) -> None:
    """The file is refused where it is read, at that key."""
    file = write(tmp_path, "other.toml", own(acts[0].text, f'\n[policies]\narc = "{dotted}"\n'))
    with pytest.raises(CeremonyInvalid) as refused:
        load_ceremony(file)
    assert refused.value.params["where"] == "policies.arc"


def test_a_record_with_policies_outside_of_the_arc_is_refused(tmp_path: Path, acts: tuple[Act, ...]) -> None:
    """Whoever holds the audit key cannot record the responder's profile as a specimen's: the file names the arc."""
    store = MemoryKeyStore()
    perform_all(tmp_path, store, acts[:4])
    path = tmp_path / "4-root-ocsp.transcript.json"
    given = transcripts.parse(path.read_bytes(), path.name)
    writer = transcripts.TranscriptWriter(given.header)
    for step in given.steps:
        inputs = dict(step.inputs)
        if "profile" in inputs:
            profile = json.loads(inputs["profile"])
            profile["policies"]["oids"] = ["2.999.116.3.1"]
            inputs["profile"] = json.dumps(profile)
        writer.add(step.rule, transcripts.parse_rfc3339(step.at), inputs, dict(step.outputs))
    (audit,) = store.find(label=AUDIT_LABEL)
    path.write_bytes(writer.sign(private_key(store, audit), audit.public_key))
    problems = verify(path).problems
    assert [one.rule for one in problems] == ["ROOT-REBUILD"]
    assert "not below the arc of the ceremony file" in problems[0].message
