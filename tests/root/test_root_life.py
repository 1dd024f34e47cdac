"""The later life of a root, from its twin to the destruction of its key: every act performed, replayed and judged."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from foundation.clock import SetClock
from foundation.x509 import oids
from foundation.x509.certificate import CertificateInput, Urls, certificate_builder, sign_certificate
from foundation.x509.names import subject_name
from foundation.x509.pem import certificate_pem, read_certificate, read_crl
from foundation.x509.twin import statement_of, twins_problem
from root_ca.building import profiles
from root_ca.ceremonies import ROOT_SUBJECT
from root_ca.ceremony_file import load_ceremony
from root_ca.later_acts import SECOND_LABEL, STATEMENT_SUBJECT, TWIN_LABEL
from root_ca.service import check, perform, rehearse, verify
from tests import programs
from tests.root.conftest import Done
from tests.root.life_world import LATER_ACTS, moment, write
from tests.root.root_world import BEGIN, PLACE, MemoryKeyStore, perform_all, prepare, say

LAST = "12-destroy.transcript.json"


def _certificate(done: Done, name: str) -> x509.Certificate:
    return read_certificate((done.folder / f"{name}.pem").read_bytes(), name)


def test_the_whole_life_verifies_from_its_last_transcript(lived: Done) -> None:
    """Twelve acts are replayed; three roots are known, the first has ended and its key is destroyed."""
    result = verify(lived.folder / LAST)
    assert result.problems == []
    assert [one.ceremony.act.act for one in result.acts[5:]] == [
        "twin-root", "cross-certificate", "licensed-ca", "rollover", "emergency-crl", "end-of-ca", "destroy",
    ]  # fmt: skip
    assert [(one.label, one.ended, one.destroyed) for one in result.states] == [
        ("root-ca-1", True, True), (TWIN_LABEL, False, False), (SECOND_LABEL, False, False),
    ]  # fmt: skip


def test_the_destroyed_key_is_gone_and_the_others_are_there(lived: Done) -> None:
    """The token no longer finds the first root's key; the record names the key that is gone."""
    assert {info.label for info in lived.store.find()} == {"root-audit-1", TWIN_LABEL, SECOND_LABEL}
    record = json.loads((lived.folder / "destroyed.json").read_text())
    assert record["label"] == "root-ca-1"


def test_twins_are_bound_by_a_statement_under_both_keys(lived: Done) -> None:
    """An ML-DSA-87 root under its own name; the same statement signed by each root over the other's key."""
    root, twin = _certificate(lived, "root"), _certificate(lived, "twin")
    by_new, by_old = _certificate(lived, "twin-by-new"), _certificate(lived, "twin-by-old")
    assert twin.subject != root.subject
    assert twin.signature_algorithm_oid.dotted_string == oids.ML_DSA_87
    assert twins_problem(by_new, by_old, [root, twin]) is None
    named = json.loads(statement_of(by_old) or b"{}")["roots"]
    assert len(named) == 2


def test_half_a_statement_binds_nothing(lived: Done) -> None:
    """One root's word alone, the word of strangers, or a certificate that carries no statement is not enough."""
    root, twin = _certificate(lived, "root"), _certificate(lived, "twin")
    by_new, by_old = _certificate(lived, "twin-by-new"), _certificate(lived, "twin-by-old")
    assert twins_problem(by_new, by_new, [root, twin]) is not None
    assert twins_problem(by_new, by_old, [root]) is not None
    assert twins_problem(by_new, by_old, [root, _certificate(lived, "root-2")]) is not None
    assert twins_problem(by_new, _certificate(lived, "cross"), [root, twin]) is not None


def test_a_statement_is_no_certificate_for_anybody(lived: Done) -> None:
    """OpenSSL refuses a statement of the same profile over keys that it can read: the critical extension is unknown."""
    other, name = ec.generate_private_key(ec.SECP384R1()), subject_name(STATEMENT_SUBJECT)
    issuer = ec.generate_private_key(ec.SECP384R1())
    files = {}
    for file, profile, subject, public, statement in (
        ("ca.pem", "root", subject_name(ROOT_SUBJECT), issuer.public_key(), None),
        ("leaf.pem", "root-ocsp-responder", name, other.public_key(), None),
        ("statement.pem", "twin-statement", name, other.public_key(), b"{}"),
    ):
        given = CertificateInput(
            profiles()[profile], subject, public, 1 << 126 | 5, BEGIN, BEGIN + timedelta(days=300),
            subject_name(ROOT_SUBJECT), issuer.public_key(), Urls(issuer=PLACE.issuer), statement=statement,
        )  # fmt: skip
        files[file] = lived.folder / file
        files[file].write_bytes(certificate_pem(sign_certificate(certificate_builder(given), issuer)))

    def openssl(file: str) -> str:
        command = ("verify", "-attime", "1793592000", "-CAfile", files["ca.pem"], files[file])
        answer = programs.run("openssl", *command, check=False)
        return str(answer.stdout + answer.stderr)

    assert "OK" in openssl("leaf.pem")
    assert "unhandled critical extension" in openssl("statement.pem")


def test_link_certificates_lead_from_either_generation_to_the_other(lived: Done) -> None:
    """RFC 9810: from old trust a chain over NewWithOld, from new trust one over OldWithNew; judged by OpenSSL."""
    issuing = lived.folder / "issuing.pem"  # issued under the old key, before the rollover
    for anchor, link, leaf in (
        ("root.pem", "new-with-old.pem", "old-with-new.pem"),
        ("root-2.pem", "old-with-new.pem", issuing),
    ):
        answer = programs.run(
            "openssl", "verify", "-x509_strict", "-attime", "1793721600", "-CAfile", lived.folder / anchor,
            "-untrusted", lived.folder / link, lived.folder / leaf,
        )  # fmt: skip
        assert "OK" in answer.stdout
    old, new = _certificate(lived, "root"), _certificate(lived, "root-2")
    assert old.subject == new.subject
    assert _certificate(lived, "old-with-new").public_key() == old.public_key()
    assert _certificate(lived, "new-with-old").public_key() == new.public_key()


def test_without_its_link_a_generation_is_not_trusted(lived: Done) -> None:
    """The control of the test above: new trust alone does not accept what the old key issued."""
    answer = programs.run(
        "openssl", "verify", "-x509_strict", "-attime", "1793721600", "-CAfile", lived.folder / "root-2.pem",
        lived.folder / "issuing.pem", check=False,
    )  # fmt: skip
    assert answer.returncode != 0


def test_a_licence_carries_its_constraints_and_opens_its_history(lived: Done) -> None:
    """Critical name constraints; the status history names audit, type and the status of its beginning (TS 119 612)."""
    licensed = _certificate(lived, "licensed")
    extension = licensed.extensions.get_extension_for_class(x509.NameConstraints)
    permitted = extension.value.permitted_subtrees or []
    assert extension.critical
    assert {type(one) for one in permitted} == {x509.DirectoryName, x509.RFC822Name}
    status = json.loads((lived.folder / "licensed-status.json").read_text())
    assert [one["status"].rpartition("/")[2] for one in status["history"]] == ["recognisedatnationallevel"]
    assert status["audit"]["reference"] == "SPECIMEN-AUDIT-2026-001"


def test_a_compromise_is_told(lived: Done) -> None:
    """The emergency CRL lists both CAs; the notice names them, and the licensed one's status ends."""
    crl = read_crl((lived.folder / "emergency.crl").read_bytes())
    notice = json.loads((lived.folder / "emergency-notice.json").read_text())
    assert {f"{one.serial_number:x}" for one in crl} == {one["serial"] for one in notice["revoked"]}
    assert len(notice["revoked"]) == 2
    service = next(one["service"] for one in notice["revoked"] if "service" in one)
    assert service["history"][-1]["status"].endswith("/deprecatedatnationallevel")


def test_the_last_crl_has_no_next_update_and_keeps_expired_certificates(lived: Done) -> None:
    """99991231235959Z and expiredCertsOnCRL; every certificate that the root issued stands on it."""
    crl = read_crl((lived.folder / "last.crl").read_bytes())
    assert crl.next_update_utc is not None
    assert crl.next_update_utc.year == 9999
    assert {extension.oid for extension in crl.extensions} == {
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.CRL_NUMBER, oids.EXPIRED_CERTS_ON_CRL,
    }  # fmt: skip
    issued = verify(lived.folder / LAST).states[0].issued
    assert {one.serial_number for one in crl} == {one.certificate.serial_number for one in issued}
    text = programs.run("openssl", "crl", "-inform", "DER", "-in", lived.folder / "last.crl", "-noout", "-text").stdout
    assert "Dec 31 23:59:59 9999" in text


@pytest.mark.parametrize("file", LATER_ACTS)
def test_every_later_act_is_rehearsed_from_the_identical_file(file: str, tmp_path: Path) -> None:
    """On a throwaway token: nothing is kept, in the folder or in either token; then the real act is performed."""
    folder, store = tmp_path / "root", MemoryKeyStore()
    folder.mkdir()
    perform_all(folder, store, prepare(folder))
    for before in LATER_ACTS:
        path = write(folder, before, store)
        if before == file:
            break
        perform(load_ceremony(path), store, SetClock(moment(before)), say)
    assert [one for one in check(load_ceremony(path)) if one.passed is not True] == []
    held, throwaway = {one.name: one.read_bytes() for one in folder.iterdir()}, MemoryKeyStore()
    keys = store.find()
    outcome = rehearse(load_ceremony(path), throwaway, SetClock(moment(file)))
    assert outcome.rehearsal
    assert throwaway.signed
    assert throwaway.find() == ()
    assert store.find() == keys
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == held
    made = perform(load_ceremony(path), store, SetClock(moment(file) + timedelta(seconds=1)), say)
    assert all(output.exists() for output in made.outputs)


@pytest.mark.parametrize("algorithm", ["rsa-4096"])
def test_a_root_of_rsa_4096_stands_beside_an_ml_dsa_87_one(algorithm: str, tmp_path: Path) -> None:
    """The classical twin may be RSA-4096; OpenSSL verifies its CRL."""
    folder, store = tmp_path / "root", MemoryKeyStore()
    folder.mkdir()
    acts = prepare(folder)
    first = (folder / acts[0].file).read_text().replace('"ec-p384"', f'"{algorithm}"')
    (folder / acts[0].file).write_text(first)
    perform_all(folder, store, acts)
    perform(load_ceremony(write(folder, "6-twin.toml", store)), store, SetClock(moment("6-twin.toml")), say)
    assert verify(folder / "6-twin.transcript.json").valid
    answer = programs.run(
        "openssl", "crl", "-inform", "DER", "-in", folder / "root.crl", "-noout", "-verify",
        "-CAfile", folder / "root.pem",
    )  # fmt: skip
    assert "verify OK" in answer.stdout + answer.stderr


def test_outputs_are_what_their_files_say(lived: Done) -> None:
    """Every certificate file of the life is PEM in its one form."""
    for name in ("twin", "cross", "licensed", "root-2", "old-with-new", "new-with-old"):
        certificate = _certificate(lived, name)
        assert certificate.public_bytes(Encoding.PEM) == (lived.folder / f"{name}.pem").read_bytes()
