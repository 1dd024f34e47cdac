"""The record of ceremonies on paper, and the sheet for the wall: judged by qpdf, poppler and a QR reader."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pikepdf
import pytest
from cryptography.hazmat.primitives import hashes
from typer.testing import CliRunner

from camtrust.ceremony_record import make_record, make_wall_sheet, sign_record
from camtrust.cli import root
from camtrust.cli.context import Context
from camtrust.errors import RecordNotMade
from foundation.terminal import Terminal
from foundation.words import khmer_words, words
from root_ca.ceremony_file import load_ceremony
from root_ca.cosigning import FileKey, cosign
from root_ca.errors import OutputExists
from root_ca.service import verify
from root_ca.verification import Verification, audit_fingerprint
from tests import programs
from tests.root.conftest import Done
from tests.root.people_world import PASSWORD, Person, name_them, people
from tests.root.root_world import MemoryKeyStore, perform_file, prepare

RECORD = "1-root.transcript.json"


class Signed(NamedTuple):
    """The first act, signed by its people."""

    folder: Path
    persons: tuple[Person, ...]
    result: Verification


@pytest.fixture(scope="module")
def _signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    folder = tmp_path_factory.mktemp("record") / "root"
    folder.mkdir()
    prepare(folder)
    persons = people(folder.parent / "people")
    name_them(folder / "1-root.toml", persons)
    perform_file(folder / "1-root.toml", MemoryKeyStore())
    act = load_ceremony(folder / "1-root.toml").act
    for person in persons:
        cosign(folder / RECORD, act.people, FileKey(person.key, PASSWORD if person.encrypted else None))
    return Signed(folder, persons, verify(folder / RECORD))


@pytest.fixture
def signed(_signed: Signed, tmp_path: Path) -> Signed:
    shutil.copytree(_signed.folder, tmp_path / "root")
    return Signed(tmp_path / "root", _signed.persons, verify(tmp_path / "root" / RECORD))


def _text(pdf: Path) -> str:
    return str(programs.run("pdftotext", "-layout", pdf, "-").stdout)


def test_a_record_holds_every_act_and_its_files(lived: Done, tmp_path: Path) -> None:
    """Twelve acts: titles, digests and rules on the pages; transcripts and ceremony files attached, octet for octet."""
    result = verify(lived.folder / "12-destroy.transcript.json")
    pdf = tmp_path / "record.pdf"
    pdf.write_bytes(make_record(result))
    programs.run("qpdf", "--check", pdf)
    text = _text(pdf)
    for act in result.acts:
        assert act.ceremony.act.title in text
        assert act.sha256 in text
    assert audit_fingerprint(result) in text
    assert "ROOT-DESTROYED" in text
    assert "SPECIMEN: a rehearsal or demonstration" in text
    with pikepdf.open(pdf) as document:
        attached = {name: spec.get_file().read_bytes() for name, spec in document.attachments.items()}
    wanted = [file for act in result.acts for file in (act.path, act.ceremony.path)]
    assert attached == {file.name: file.read_bytes() for file in wanted}


def test_a_record_is_pdf_a_with_every_font_inside(signed: Signed, tmp_path: Path) -> None:
    """PDF/A-3b by its own metadata, with an output intent, a file identifier and embedded fonts; no encryption."""
    pdf = tmp_path / "record.pdf"
    pdf.write_bytes(make_record(signed.result))
    with pikepdf.open(pdf) as document:
        with document.open_metadata() as metadata:
            assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"]) == ("3", "B")
        assert len(document.Root.OutputIntents) == 1
        assert document.trailer.ID
        assert not document.is_encrypted
    fonts = programs.run("pdffonts", pdf).stdout.splitlines()[2:]
    assert fonts
    assert all(line.split()[-5] == "yes" for line in fonts)


def test_a_record_names_who_signed(signed: Signed, tmp_path: Path) -> None:
    """Every person with role and key."""
    pdf = tmp_path / "record.pdf"
    pdf.write_bytes(make_record(signed.result))
    text = _text(pdf)
    assert all(f"{person.role} {person.name}, key SHA-256 {person.sha256}" in text for person in signed.persons)


@pytest.mark.parametrize("make", [make_record, make_wall_sheet])
def test_nothing_is_made_of_what_does_not_verify(make: Callable[[Verification], bytes], signed: Signed) -> None:
    """A changed file, or a missing signature: no record, no sheet."""
    (signed.folder / f"{RECORD}.1.signature.json").unlink()
    with pytest.raises(RecordNotMade):
        make(verify(signed.folder / RECORD))


def test_the_wall_sheet_is_one_page_and_its_code_can_be_read(lived: Done, tmp_path: Path) -> None:
    """Names, digests and words of three roots on one page; a QR reader gives the same digests."""
    result = verify(lived.folder / "12-destroy.transcript.json")
    pdf = tmp_path / "wall.pdf"
    pdf.write_bytes(make_wall_sheet(result))
    with pikepdf.open(pdf) as document:
        assert len(document.pages) == 1
    digests = [state.certificate.fingerprint(hashes.SHA256()) for state in result.states]
    text = _text(pdf)
    for digest in digests:
        assert " ".join(words(digest)[:8]) in text
        assert khmer_words(digest)[0] in text
    programs.run("pdftoppm", "-r", "150", "-png", pdf, tmp_path / "wall")
    read = programs.run("zbarimg", "--quiet", "--raw", tmp_path / "wall-1.png").stdout
    assert all(digest.hex() in read for digest in digests)
    assert f"AUDIT SHA256 {audit_fingerprint(result)}" in read
    assert f"SHA256 {result.acts[-1].sha256}" in read
    assert read.count("ENDED ") == 1


def test_a_record_signed_by_the_witness_is_valid_until_it_is_changed(signed: Signed, tmp_path: Path) -> None:
    """PAdES by a key that signed the transcript: valid for poppler; with a changed octet it is not."""
    witness, pdf = signed.persons[2], tmp_path / "record.pdf"
    pdf.write_bytes(sign_record(make_record(signed.result), signed.result, witness.key, None))
    programs.run("qpdf", "--check", pdf)
    verdict = programs.run("pdfsig", "-nocert", pdf).stdout
    assert "Signature is Valid" in verdict
    assert "Total document signed" in verdict
    assert f"{witness.role} {witness.name}" in verdict
    octets = bytearray(pdf.read_bytes())
    octets[len(octets) // 3] ^= 1
    pdf.write_bytes(bytes(octets))
    assert "Signature is Valid" not in programs.run("pdfsig", "-nocert", pdf, check=False).stdout


def test_a_stranger_or_a_key_that_readers_do_not_know_signs_no_record(signed: Signed, tmp_path: Path) -> None:
    """Only somebody who signed the transcript; Ed25519, which PDF readers do not verify, is refused."""
    record = make_record(signed.result)
    with pytest.raises(RecordNotMade, match="has not signed"):
        sign_record(record, signed.result, people(tmp_path / "strangers")[2].key, None)
    with pytest.raises(RecordNotMade, match="ed25519"):
        sign_record(record, signed.result, signed.persons[1].key, None)


def test_the_command_writes_both_and_overwrites_nothing(signed: Signed, tmp_path: Path) -> None:
    """`camtrust root record`: record and wall sheet; a file that is there stays as it was."""
    app = root.create(Context(Terminal(json=True), None))
    paths = ["--output", str(tmp_path / "record.pdf"), "--wall", str(tmp_path / "wall.pdf")]
    done = CliRunner().invoke(app, ["record", str(signed.folder / RECORD), *paths], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "wall.pdf").read_bytes()[:5] == b"%PDF-"
    before = (tmp_path / "record.pdf").read_bytes()
    with pytest.raises(OutputExists):
        CliRunner().invoke(app, ["record", str(signed.folder / RECORD), *paths], catch_exceptions=False)
    assert (tmp_path / "record.pdf").read_bytes() == before
