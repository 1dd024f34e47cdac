"""The specimen ceremony from the first act to the verified transcript, judged by OpenSSL too."""

from __future__ import annotations

import json
import os
import stat

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from foundation.x509.lint import lint_certificate
from foundation.x509.pem import read_certificate, read_crl
from root_ca.building import profiles
from root_ca.ceremony_file import load_ceremony
from root_ca.service import check, verify
from tests import programs
from tests.root.conftest import Done

CERTIFICATES = {"root": "root", "issuing": "issuing-ca", "tsa": "tsa-ca", "root-ocsp": "root-ocsp-responder"}


def _certificate(done: Done, name: str) -> x509.Certificate:
    return read_certificate((done.folder / f"{name}.pem").read_bytes(), name)


def test_a_complete_ceremony_verifies_from_its_last_transcript(done: Done) -> None:
    """Verification of the last transcript walks through all five acts and finds nothing wrong."""
    result = verify(done.folder / "transcript.json")
    assert result.problems == []
    assert [one.ceremony.act.act for one in result.acts] == [
        "root", "subordinate", "subordinate", "ocsp-responder", "root-crl",
    ]  # fmt: skip
    assert result.valid
    assert result.notes == []


@pytest.mark.parametrize("name", CERTIFICATES)
def test_every_certificate_is_exactly_its_profile(done: Done, name: str) -> None:
    """The own lint has no finding, chain rules included."""
    certificate = _certificate(done, name)
    assert lint_certificate(certificate, profiles()[CERTIFICATES[name]], _certificate(done, "root")) == ()


def test_openssl_verifies_the_certificates(done: Done) -> None:
    """`openssl verify` with the root alone, strict, with CRL checking, accepts both CAs and the responder."""
    crl = done.folder / "root-crl.pem"
    programs.run("openssl", "crl", "-inform", "DER", "-in", done.folder / "root.crl", "-out", crl)
    for name in ("issuing", "tsa", "root-ocsp"):
        answer = programs.run(
            "openssl", "verify", "-x509_strict", "-crl_check", "-CRLfile", crl, "-attime", "1793592000",
            "-CAfile", done.folder / "root.pem", done.folder / f"{name}.pem",
        )  # fmt: skip
        assert "OK" in answer.stdout


def test_openssl_verifies_the_crl(done: Done) -> None:
    """`openssl crl -verify` accepts the root's CRL under the root certificate."""
    answer = programs.run(
        "openssl", "crl", "-inform", "DER", "-in", done.folder / "root.crl", "-noout", "-verify",
        "-CAfile", done.folder / "root.pem",
    )  # fmt: skip
    assert "verify OK" in answer.stdout + answer.stderr


def test_the_root_crl_is_full_and_bounded(done: Done) -> None:
    """The CRL has number and AKI and nothing else (no IDP), and lives at most twelve months (BR §7.2)."""
    crl = read_crl((done.folder / "root.crl").read_bytes())
    assert {extension.oid for extension in crl.extensions} == {
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.CRL_NUMBER,
    }  # fmt: skip
    assert crl.next_update_utc is not None
    assert (crl.next_update_utc - crl.last_update_utc).days <= 365
    assert len(crl) == 0


def test_the_responder_is_delegated_and_needs_no_status_of_its_own(done: Done) -> None:
    """EKU OCSPSigning alone, and id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2)."""
    extensions = _certificate(done, "root-ocsp").extensions
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.OCSP_SIGNING]
    assert extensions.get_extension_for_class(x509.OCSPNoCheck)


def test_outputs_are_readable_files_and_nothing_else_is_left(done: Done) -> None:
    """Outputs have mode 0644; no temporary file and no record of an unfinished act stays."""
    for act in done.acts:
        for name in (act.output, act.transcript):
            assert stat.S_IMODE((done.folder / name).stat().st_mode) == 0o644
    wanted = {name for act in done.acts for name in (act.file, act.output, act.transcript, act.csr) if name}
    assert set(os.listdir(done.folder)) == wanted


def test_the_token_signs_nothing_with_the_root_key_but_certificates_and_crls(done: Done) -> None:
    """Five whole structures are signed with the root key; transcripts are signed with the audit key, as digests."""
    whole = [data for data in done.store.signed if len(data) != 48]
    assert len(whole) == 5
    assert all(data[0] == 0x30 for data in whole)
    assert len(done.store.signed) == 10


def test_transcripts_tell_rule_inputs_outputs_and_software(done: Done) -> None:
    """Each transcript names its steps by rule, the digests of files, and the software that ran."""
    transcript = json.loads((done.folder / "2-issuing.transcript.json").read_text())
    assert [step["rule"] for step in transcript["steps"]] == [
        "ROOT-CHECK", "ROOT-CONFIRM", "ROOT-KEY", "ROOT-PREPARE", "ROOT-SIGN", "ROOT-TBS-EQUAL", "ROOT-LINT-AFTER",
        "ROOT-OUTPUT",
    ]  # fmt: skip
    assert set(transcript["steps"][0]["inputs"]) == {"issuing.csr", "root.pem"}
    assert len(transcript["header"]["software"]["modules_sha256"]) == 64


def test_a_finished_act_cannot_be_performed_again(done: Done) -> None:
    """Checking a performed act fails on its outputs, and names them."""
    results = {one.rule: one for one in check(load_ceremony(done.folder / "2-issuing.toml"))}
    assert results["ROOT-OUTPUT-ABSENT"].passed is False
    assert "issuing.pem" in results["ROOT-OUTPUT-ABSENT"].detail
