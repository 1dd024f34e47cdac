"""Every rule of `check` and `perform` has a ceremony that breaks it, and is named when it does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.clock import SetClock
from foundation.keys.errors import TokenUnavailable
from foundation.keys.port import KeyAlgorithm, KeyUse
from foundation.x509.csr import build_csr
from foundation.x509.errors import LintFailed
from foundation.x509.names import subject_name
from root_ca.ceremonies import ISSUING_SUBJECT, root_crl_act
from root_ca.ceremony_file import load_ceremony
from root_ca.errors import CeremonyInvalid, CeremonyRefused, ConfirmationWrong, OutputExists
from root_ca.outputs import publish
from root_ca.rules import CHECKS, RULES
from root_ca.service import check, perform, rehearse, verify
from root_ca.verification import audit_fingerprint
from tests.root.conftest import Done
from tests.root.root_world import BEGIN, NOW, MemoryKeyStore, perform_all, perform_file, prepare, say
from tests.root.test_root_life_checks import LATER_BROKEN

Change = Callable[[Path], None]


def _edit(file: str, old: str, new: str) -> Change:
    def change(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))

    return change


def _write(file: str, content: bytes) -> Change:
    return lambda folder: (folder / file).write_bytes(content) and None  # type: ignore[func-returns-value]


def _csr(subject: tuple[tuple[str, str], ...]) -> bytes:
    return build_csr(subject_name(subject), ec.generate_private_key(ec.SECP256R1()))


def _append(file: str, text: str) -> Change:
    def change(folder: Path) -> None:
        (folder / file).write_text((folder / file).read_text() + text)

    return change


def _broken_csr(folder: Path) -> None:
    data = (folder / "issuing.csr").read_text().splitlines()
    (folder / "issuing.csr").write_text("\n".join([*data[:2], data[3], data[2], *data[4:]]))


def _same_key_twice(folder: Path) -> None:
    text = (folder / ISSUING).read_text()
    text = text.replace("issuing.pem", "again.pem").replace("2-issuing.transcript", "again.transcript")
    (folder / AGAIN).write_text(text.replace("1-root.transcript", "2-issuing.transcript"))


def _next_crl(number: int, at: datetime, *revoked: tuple[int, datetime, str]) -> Change:
    text = root_crl_act(at, number, "transcript.json", "root-2.crl", "transcript-2.json", revoked)
    return _write(NEXT_CRL, text.encode())


LATER = BEGIN + timedelta(days=30)
ORDER = ("1-root.toml", "2-issuing.toml", "3-tsa.toml", "4-root-ocsp.toml", "5-root-crl.toml")
ISSUING, CRL = ORDER[1], ORDER[4]
AGAIN, NEXT_CRL = "2-issuing-again.toml", "6-root-crl.toml"
PERFORMED_BEFORE = {**{file: ORDER[:number] for number, file in enumerate(ORDER)}, AGAIN: ORDER[:2], NEXT_CRL: ORDER}

OWN_ARC = '\n[policies]\narc = "2.16.116.99999"\n'

BROKEN: list[tuple[str, str, Change]] = [
    ("ROOT-PATHS", ISSUING, _edit(ISSUING, "issuing.pem", "../issuing.pem")),
    ("ROOT-PATHS", ISSUING, _edit(ISSUING, "issuing.pem", "nowhere/issuing.pem")),
    ("ROOT-PATHS", ISSUING, lambda folder: _link_out(folder)),
    ("ROOT-OUTPUT-ABSENT", ISSUING, _write("issuing.pem", b"x")),
    ("ROOT-OUTPUT-ABSENT", ISSUING, lambda folder: (folder / "issuing.pem").symlink_to("nothing")),
    ("ROOT-OUTPUT-ABSENT", ISSUING, _edit(ISSUING, '"issuing.pem"', '"issuing.csr"')),
    ("ROOT-UNFINISHED", ISSUING, _write("2-issuing.transcript.json.unfinished", b"{}")),
    ("ROOT-INPUT", ISSUING, lambda folder: (folder / "issuing.csr").unlink()),
    ("ROOT-INPUT", ISSUING, _edit(ISSUING, 'csr = "issuing.csr"', f'csr = "issuing.csr"\ncsr_sha256 = "{"0" * 64}"')),
    ("ROOT-PROFILE", ISSUING, _edit(ISSUING, '"issuing-ca"', '"root"')),
    ("ROOT-PROFILE", ISSUING, _edit(ISSUING, "CP/CPS 7.1.10.2", "CP/CPS 9.9.9")),
    ("ROOT-PROFILE", CRL, _edit(CRL, "CP/CPS 7.2", "CP/CPS 9.9.9")),
    ("ROOT-URLS", ISSUING, _edit(ISSUING, "\nocsp = ", "\n# ocsp = ")),
    ("ROOT-URLS", "4-root-ocsp.toml", _edit("4-root-ocsp.toml", "[urls]\n", '[urls]\ncrl = "http://unused.example/"\n')),
    ("ROOT-CHAIN", ISSUING, lambda folder: (folder / "1-root.transcript.json").unlink()),
    ("ROOT-CHAIN", ISSUING, _edit("1-root.transcript.json", "SPECIMEN", "SPECIMAN")),
    ("ROOT-ISSUER", ISSUING, lambda folder: _edit(ISSUING, '"root.pem"', '"other.pem"')(folder) or _other_root(folder)),
    ("ROOT-ARC", "1-root.toml", _append("1-root.toml", OWN_ARC)),
    ("ROOT-ARC", ISSUING, _append(ISSUING, OWN_ARC)),
    ("ROOT-ARC", ISSUING, _append(ISSUING, '\n[policies]\narc = "2.999.5"\n')),
    ("ROOT-ARC", CRL, _append(CRL, OWN_ARC)),
    ("ROOT-CSR", ISSUING, _write("issuing.csr", b"not a request")),
    ("ROOT-CSR", ISSUING, _broken_csr),
    ("ROOT-CSR", ISSUING, _write("issuing.csr", _csr((*ISSUING_SUBJECT[:2], ("CN", "SPECIMEN other"))))),
    ("ROOT-KEY-DISTINCT", AGAIN, _same_key_twice),
    ("ROOT-NAME-DISTINCT", ISSUING, lambda folder: _root_name(folder)),
    ("ROOT-VALIDITY", ISSUING, _edit(ISSUING, "not_after = 2036", "not_after = 2037")),
    ("ROOT-VALIDITY", ISSUING, _edit(ISSUING, "not_before = 2026-11", "not_before = 2026-10")),
    ("ROOT-VALIDITY", "1-root.toml", _edit("1-root.toml", "not_after = 2046", "not_after = 2026")),
    ("ROOT-LINT", "1-root.toml", _edit("1-root.toml", "SPECIMEN CamTrust", "CamTrust")),
    ("ROOT-LINT", ISSUING, lambda folder: _no_specimen(folder)),
    ("ROOT-CRL-NUMBER", NEXT_CRL, _next_crl(1, LATER)),
    ("ROOT-CRL-PERIOD", CRL, _edit(CRL, "next_update = 2027-10", "next_update = 2027-12")),
    ("ROOT-CRL-PERIOD", CRL, _edit(CRL, "this_update = 2026-11-01", "this_update = 2026-10-31")),
    ("ROOT-CRL-PERIOD", NEXT_CRL, _next_crl(2, BEGIN)),
    ("ROOT-CRL-REVOKED", NEXT_CRL, _next_crl(2, LATER, (0xABCDEF0123456789, LATER, "superseded"))),
]  # fmt: skip


def _link_out(folder: Path) -> None:
    (folder / "issuing.csr").unlink()
    (folder / "issuing.csr").symlink_to("/etc/hosts")


def _other_root(folder: Path) -> None:
    other = folder.parent / "other"
    other.mkdir()
    prepare(other)
    perform_file(other / "1-root.toml", MemoryKeyStore())
    (folder / "other.pem").write_bytes((other / "root.pem").read_bytes())


def _root_name(folder: Path) -> None:
    _edit(ISSUING, 'Issuing CA 1"]', 'Root CA 1"]')(folder)
    (folder / "issuing.csr").write_bytes(_csr((*ISSUING_SUBJECT[:2], ("CN", "SPECIMEN CamTrust Root CA 1"))))


def _no_specimen(folder: Path) -> None:
    subject = (("C", "KH"), ("O", "CamTrust"), ("CN", "CamTrust Issuing CA 1"))
    _edit(ISSUING, '"SPECIMEN CamTrust"', '"CamTrust"')(folder)
    _edit(ISSUING, '"SPECIMEN CamTrust Issuing CA 1"', '"CamTrust Issuing CA 1"')(folder)
    (folder / "issuing.csr").write_bytes(_csr(subject))


@pytest.mark.parametrize(
    ("rule", "file", "change"), BROKEN, ids=[f"{rule}-{number}" for number, (rule, _, _) in enumerate(BROKEN)]
)
def test_a_broken_rule_is_named_and_nothing_is_signed(rule: str, file: str, change: Change, fresh: Path) -> None:
    """`check` fails on the rule that was broken, first of all; `perform` refuses and the token signs nothing more."""
    store = MemoryKeyStore()
    for before in PERFORMED_BEFORE[file]:
        perform_file(fresh / before, store)
    if (fresh / file).exists():
        assert all(result.passed for result in check(load_ceremony(fresh / file)))
    change(fresh)
    signed = len(store.signed)
    try:
        ceremony = load_ceremony(fresh / file)
    except CeremonyInvalid:
        assert rule == "ROOT-PATHS"  # the pattern of paths refuses it before the rule does
        return
    failed = [result.rule for result in check(ceremony) if result.passed is False]
    assert failed[0] == rule
    with pytest.raises(CeremonyRefused) as refusal:
        perform(ceremony, store, SetClock(NOW), say)
    assert rule in refusal.value.message()
    assert len(store.signed) == signed


def test_every_check_has_a_ceremony_that_breaks_it() -> None:
    """No rule of `check` is without a test, here or among the later acts (ROOT-ENDED has one of its own there)."""
    assert {rule for rule, _, _ in (*BROKEN, *LATER_BROKEN)} | {"ROOT-ENDED"} == set(CHECKS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('act = "root"', 'act = "coronation"'),
        ('act = "root"', 'act = "root"\nsurprise = 1'),
        ('algorithm = "ec-p384"', 'algorithm = "ec-p256"'),
        ('algorithm = "ec-p384"', ""),
        ('title = "SPECIMEN: make root CA 1"', "title = 5"),
        ("not_before = 2026-11-01T00:00:00Z", "not_before = 2026-11-01T00:00:00"),
        ("not_before = 2026-11-01T00:00:00Z", "not_before = 2026-11-01T07:00:00+07:00"),
        ("not_before = 2026-11-01T00:00:00Z", "not_before = 2026-11-01T00:00:00.5Z"),
        ("not_before = 2026-11-01T00:00:00Z", 'not_before = "now"'),
        ("[outputs]", '[inputs]\nissuer = "root.pem"\n[outputs]'),
        ('"1-root.transcript.json"', '"/tmp/transcript.json"'),
        ('"root.pem"', '"a/../../root.pem"'),
    ],
)
def test_a_file_with_unknown_missing_or_loose_values_is_refused(fresh: Path, old: str, new: str) -> None:
    """Unknown, missing and unused keys, times without zone or in another one, and paths that lead out are refused."""
    _edit("1-root.toml", old, new)(fresh)
    if new == '"a/../../root.pem"':
        assert check(load_ceremony(fresh / "1-root.toml"))[0].passed is False
        return
    with pytest.raises(CeremonyInvalid):
        load_ceremony(fresh / "1-root.toml")


def test_wrong_words_sign_nothing(fresh: Path) -> None:
    """Without the exact words no key is made, nothing is signed and no file appears."""
    store, before = MemoryKeyStore(), set(fresh.iterdir())
    with pytest.raises(ConfirmationWrong):
        perform(load_ceremony(fresh / "1-root.toml"), store, SetClock(NOW), lambda _: "yes")
    assert store.find() == ()
    assert set(fresh.iterdir()) == before


def test_the_words_change_with_file_input_and_past(fresh: Path) -> None:
    """The words stand for the file, for every input and for the previous transcript."""
    store, seen = MemoryKeyStore(), []

    def words() -> None:
        def remember(briefing):  # type: ignore[no-untyped-def]
            seen.append(briefing.words)
            return ""

        with pytest.raises(ConfirmationWrong):
            perform(load_ceremony(fresh / ISSUING), store, SetClock(NOW), remember)

    perform_file(fresh / "1-root.toml", store)
    words()
    (fresh / "issuing.csr").write_bytes(_csr(ISSUING_SUBJECT))
    words()
    _edit(ISSUING, "certify Issuing", "certify  Issuing")(fresh)
    words()
    assert len(set(seen)) == 3


def test_a_label_that_is_taken_stops_the_making_of_a_root(fresh: Path) -> None:
    """ROOT-LABEL-ABSENT: neither the root's nor the audit key's label may exist, and no key is made."""
    for label, use in (("root-ca-1", KeyUse.ROOT_CA), ("root-audit-1", KeyUse.AUDIT)):
        store = MemoryKeyStore()
        store.generate(label, KeyAlgorithm.EC_P384, use)
        with pytest.raises(CeremonyRefused, match="ROOT-LABEL-ABSENT"):
            perform_file(fresh / "1-root.toml", store)
        assert len(store.find()) == 1


def test_another_token_cannot_continue_the_ceremony(fresh: Path) -> None:
    """ROOT-KEY: keys that are missing, others, of another use, or disabled are refused."""
    own = MemoryKeyStore()
    perform_file(fresh / "1-root.toml", own)
    empty, other = MemoryKeyStore(), MemoryKeyStore()
    other.generate("root-ca-1", KeyAlgorithm.EC_P384, KeyUse.ROOT_CA)
    other.generate("root-audit-1", KeyAlgorithm.EC_P384, KeyUse.AUDIT)
    for store in (empty, other):
        with pytest.raises(CeremonyRefused, match="ROOT-KEY"):
            perform_file(fresh / ISSUING, store)
    own.set_enabled(own.find(use=KeyUse.ROOT_CA)[0].key_id, False)
    with pytest.raises(CeremonyRefused, match="ROOT-KEY"):
        perform_file(fresh / ISSUING, own)


def test_a_wrong_clock_is_refused(fresh: Path) -> None:
    """ROOT-CLOCK: what is over already is not signed, and the clock must not be before the last act."""
    store = MemoryKeyStore()
    perform_file(fresh / "1-root.toml", store)
    for at in (NOW - timedelta(days=400), NOW + timedelta(days=9000)):
        with pytest.raises(CeremonyRefused, match="ROOT-CLOCK"):
            perform_file(fresh / ISSUING, store, at)


def test_a_token_that_fails_leaves_no_half_output_and_a_record(fresh: Path) -> None:
    """A token that goes away in the middle leaves no output; the next run is refused and names the record."""
    store = MemoryKeyStore()
    perform_file(fresh / "1-root.toml", store)
    store.broken = TokenUnavailable()
    with pytest.raises(TokenUnavailable):
        perform_file(fresh / ISSUING, store)
    assert not (fresh / "issuing.pem").exists()
    assert not (fresh / "2-issuing.transcript.json").exists()
    store.broken = None
    with pytest.raises(CeremonyRefused, match="ROOT-UNFINISHED"):
        perform_file(fresh / ISSUING, store)
    (fresh / "2-issuing.transcript.json.unfinished").rename(fresh / "kept.json")
    perform_file(fresh / ISSUING, store)


def test_publish_writes_all_or_nothing(tmp_path: Path) -> None:
    """When one name is taken, no file is written and the one that is there stays as it was."""
    (tmp_path / "b").write_bytes(b"kept")
    with pytest.raises(OutputExists):
        publish(tmp_path, {"a": b"1", "b": b"2"})
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_bytes() == b"kept"


def test_publish_needs_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without hard links (most USB sticks) outputs appear all the same, and never overwrite."""

    def no_links(*args: object, **kwargs: object) -> None:
        raise PermissionError

    monkeypatch.setattr("root_ca.outputs.os.link", no_links)
    publish(tmp_path, {"a": b"1"})
    assert (tmp_path / "a").read_bytes() == b"1"
    with pytest.raises(OutputExists):
        publish(tmp_path, {"a": b"2"})


def test_a_garbage_signature_of_the_token_is_not_published(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature that does not verify ends the act; no certificate appears."""
    store = MemoryKeyStore()
    perform_file(fresh / "1-root.toml", store)
    monkeypatch.setattr(store, "sign", lambda *_, **__: b"\x30\x06\x02\x01\x01\x02\x01\x01")
    with pytest.raises(Exception, match="signature"):
        perform_file(fresh / ISSUING, store)
    assert not (fresh / "issuing.pem").exists()


def test_lint_comes_before_the_signature(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the lint finds something under the throwaway key, the root key signs nothing."""
    store = MemoryKeyStore()

    def find(*args: object) -> None:
        raise LintFailed(())

    monkeypatch.setattr("root_ca.signing.require_clean", find)
    with pytest.raises(LintFailed):
        perform_file(fresh / "1-root.toml", store)
    assert store.signed == []


@pytest.mark.parametrize("file", ["1-root.toml", ISSUING, "4-root-ocsp.toml", CRL])
def test_a_rehearsal_runs_the_identical_file_and_keeps_nothing(fresh: Path, file: str) -> None:
    """A rehearsal on an empty token does the whole act; the folder and both tokens are as before."""
    real, throwaway = MemoryKeyStore(), MemoryKeyStore()
    for act in ("1-root.toml", ISSUING, "3-tsa.toml", "4-root-ocsp.toml"):
        if act == file:
            break
        perform_file(fresh / act, real)
    before = {path.name: path.read_bytes() for path in fresh.iterdir()}
    outcome = rehearse(load_ceremony(fresh / file), throwaway, SetClock(NOW))
    assert outcome.rehearsal
    assert throwaway.signed
    assert throwaway.find() == ()
    assert {path.name: path.read_bytes() for path in fresh.iterdir()} == before
    perform_file(fresh / file, real)


def test_a_rehearsal_is_refused_on_the_real_token(fresh: Path) -> None:
    """On a token that holds the labels a rehearsal would make, nothing happens."""
    store = MemoryKeyStore()
    perform_file(fresh / "1-root.toml", store)
    signed = len(store.signed)
    with pytest.raises(CeremonyRefused, match="ROOT-LABEL-ABSENT"):
        rehearse(load_ceremony(fresh / ISSUING), store, SetClock(NOW))
    assert len(store.signed) == signed
    assert len(store.find()) == 2


def test_a_revocation_stays_on_every_later_crl(fresh: Path) -> None:
    """A revoked CA stands on the next CRL with its reason; a CRL that forgets it is refused."""
    store = MemoryKeyStore()
    perform_all(fresh, store, prepare(fresh))
    later = BEGIN + timedelta(days=30)
    serial = verify(fresh / "transcript.json").certificates[1].serial_number
    for number, revoked in ((2, ((serial, later, "cACompromise"),)), (3, ())):
        text = root_crl_act(later + timedelta(days=number), number, _before(number), f"r{number}.crl",
                            f"t{number}.json", revoked)  # fmt: skip
        (fresh / f"crl-{number}.toml").write_text(text)
    perform_file(fresh / "crl-2.toml", store, later + timedelta(days=2))
    assert verify(fresh / "t2.json").valid
    crl = verify(fresh / "t2.json").acts[-1].crl
    assert crl is not None
    assert crl.get_revoked_certificate_by_serial_number(serial) is not None
    with pytest.raises(CeremonyRefused, match="ROOT-CRL-REVOKED"):
        perform_file(fresh / "crl-3.toml", store, later + timedelta(days=3))


def _before(number: int) -> str:
    return "transcript.json" if number == 2 else "t2.json"


def test_pinned_fingerprints_are_held(done: Done) -> None:
    """With the right fingerprints the record is valid; with others ROOT-PINNED names the first act."""
    path = done.folder / "transcript.json"
    result = verify(path)
    assert result.root is not None
    root = hashlib.sha256(result.root.public_bytes(Encoding.DER)).hexdigest()
    assert verify(path, root=root, audit_key=audit_fingerprint(result)).valid
    for wrong in (verify(path, root="00" * 32), verify(path, audit_key="00" * 32)):
        assert [problem.rule for problem in wrong.problems] == ["ROOT-PINNED"]


def test_every_rule_stands_in_the_documentation() -> None:
    """docs/ceremony.md names each rule with its sentence."""
    text = (Path(__file__).parents[2] / "docs" / "ceremony.md").read_text(encoding="utf-8")
    for rule, sentence in RULES.items():
        assert f"| {rule} | {sentence} |" in text
