"""ASiC containers: made, judged by openssl and by us; every game with manifests and ZIP files fails."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from signing.asic_container import ASIC_E, read, write
from signing.errors import DocumentDamaged
from signing.forms import Form
from signing.model import Level
from tests.programs import run
from tests.signing.conftest import Desk
from tests.signing.formats import TEXT, judged, outcome, sealed

EXTENDED, SIMPLE = Form.named("asic-e"), Form.named("asic-s")
EXTENDED_XML = Form.named("asic-e", "xades")
NAME = "កិច្ចសន្យា 1.txt"
MANIFEST, SIGNATURE = "META-INF/ASiCManifest001.xml", "META-INF/signature001.p7s"
Files = dict[str, bytes]


def unpacked(made: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        return {one: archive.read(one) for one in archive.namelist() if one != "mimetype"}


def rules(desk: Desk, made: bytes) -> set[str]:
    verdict = judged(desk, made)
    reasons = (*verdict.reasons, *(one for signature in verdict.signatures for one in signature.reasons))
    return {one.rule for one in reasons if one.sub_indication}


@pytest.mark.parametrize(
    ("form", "level"),
    [
        (EXTENDED_XML, Level.B_B),
        (EXTENDED_XML, Level.B_LT),
        (EXTENDED, Level.B_B),
        (EXTENDED, Level.B_T),
        (EXTENDED, Level.B_LT),
        (SIMPLE, Level.B_LT),
        (SIMPLE, Level.B_LTA),
    ],
    ids=str,
)
def test_levels(desk: Desk, form: Form, level: Level) -> None:
    """Containers from B-LT on pass with the root alone, and say which file the signature is about."""
    verdict = judged(desk, sealed(desk, TEXT, form, level, NAME))
    (found,) = verdict.signatures
    assert verdict.format == ("ASiC-S" if form == SIMPLE else "ASiC-E")
    assert found.coverage == "every file"
    assert any(NAME in one.params.get("names", "") for one in found.reasons if one.rule == "ASIC-COVERS")
    if level.includes(Level.B_LT):
        assert outcome(verdict) == ("TOTAL-PASSED", None)
        assert found.level == level.value
    else:
        assert outcome(verdict)[0] == "INDETERMINATE"


def test_by_openssl_and_by_hand(desk: Desk, tmp_path: Path) -> None:
    """mimetype is the first entry and stored; openssl verifies the signature over the manifest; digests are right."""
    made = sealed(desk, TEXT, EXTENDED, Level.B_LT, NAME)
    assert made[:4] == b"PK\x03\x04"
    assert made[30 : 38 + len(ASIC_E)] == b"mimetype" + ASIC_E.encode()
    files = unpacked(made)
    (tmp_path / "root.pem").write_bytes(desk.pki.root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "manifest").write_bytes(files[MANIFEST])
    (tmp_path / "signature").write_bytes(files[SIGNATURE])
    arguments = ["openssl", "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-purpose", "any", "-out"]
    arguments += [tmp_path / "out", "-CAfile", tmp_path / "root.pem", "-in", tmp_path / "signature"]
    run(*arguments, "-content", tmp_path / "manifest")
    assert base64.b64encode(hashlib.sha256(files[NAME]).digest()) in files[MANIFEST]
    assert files[NAME] == TEXT


@pytest.fixture
def files(desk: Desk) -> Files:
    """The files of a good container."""
    return unpacked(sealed(desk, TEXT, EXTENDED, Level.B_LT, NAME))


def test_written_again_it_passes(desk: Desk, files: Files) -> None:
    """The same files in another container of the same kind: what the attacks below change is what makes them fail."""
    assert outcome(judged(desk, write(ASIC_E, files))) == ("TOTAL-PASSED", None)


MANIFEST_GAMES: dict[str, tuple[Callable[[Files], Files], str]] = {
    "a file that nobody signed": (lambda files: {**files, "more.txt": b"more"}, "ASIC-UNCOVERED"),
    "a changed file": (lambda files: {**files, NAME: TEXT + b"!"}, "ASIC-DIGEST"),
    "a file that is gone": (lambda files: {one: files[one] for one in files if one != NAME}, "ASIC-REFERENCE"),
    "a changed manifest": (
        lambda files: {**files, MANIFEST: files[MANIFEST].replace(b"pkcs7-signature", b"pkcs7-other")},
        "CMS-HASH",
    ),
    "no manifest": (lambda files: {one: files[one] for one in files if one != MANIFEST}, "ASIC-MANIFEST"),
    "a second manifest for the signature": (
        lambda files: {**files, "META-INF/ASiCManifest002.xml": files[MANIFEST]},
        "ASIC-MANIFEST",
    ),
    "a manifest without a signature": (
        lambda files: {
            **files,
            "META-INF/ASiCManifest002.xml": files[MANIFEST].replace(b"signature001", b"signature002"),
        },
        "ASIC-MANIFEST",
    ),
    "a signature that no manifest names": (
        lambda files: {**files, "META-INF/signature002.p7s": files[SIGNATURE]},
        "ASIC-MANIFEST",
    ),
    "a signature that is none": (lambda files: {**files, SIGNATURE: b"0\x03\x02\x01\x01"}, "ASIC-SIGNATURE"),
    "something else in META-INF": (lambda files: {**files, "META-INF/evidence.xml": b"<a/>"}, "ASIC-LEFTOVER"),
    "a manifest with a document type": (
        lambda files: {**files, MANIFEST: files[MANIFEST].replace(b"?>\n", b"?>\n<!DOCTYPE a [<!ENTITY b 'c'>]>")},
        "ASIC-MANIFEST",
    ),
    "another mimetype inside": (lambda files: {**files, "Mimetype": b"a"}, "ASIC-NAMES"),
    "two spellings of one name": (lambda files: {"A.txt": b"a", "a.txt": b"b", **files}, "ASIC-NAMES"),
    "a path upwards": (lambda files: {**files, "../a.txt": b"a"}, "ASIC-NAMES"),
    "an absolute path": (lambda files: {**files, "/a.txt": b"a"}, "ASIC-NAMES"),
    "a path of another system": (lambda files: {**files, "a\\b.txt": b"a"}, "ASIC-NAMES"),
    "META-INF in other letters": (lambda files: {**files, "meta-inf/signature9.p7s": b"a"}, "ASIC-NAMES"),
}


@pytest.mark.parametrize("game", MANIFEST_GAMES)
def test_games_with_manifests(desk: Desk, files: Files, game: str) -> None:
    """What was put in, taken out, changed, or named twice: the rule speaks, and nothing passes."""
    play, rule = MANIFEST_GAMES[game]
    made = write(ASIC_E, play(files))
    assert rule in rules(desk, made)
    assert outcome(judged(desk, made))[0] == ("INDETERMINATE" if rule == "ASIC-LEFTOVER" else "TOTAL-FAILED")


def _zipped(files: Files, media_type: bytes = ASIC_E.encode(), **options: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", media_type, **options or {"compress_type": zipfile.ZIP_STORED})
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _twice(files: Files) -> bytes:
    import warnings

    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("mimetype", ASIC_E)
        for name, content in ((NAME, b"something else"), *files.items()):
            archive.writestr(name, content)
    return buffer.getvalue()


def _mimetype_last(files: Files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in (*files.items(), ("mimetype", ASIC_E.encode())):
            archive.writestr(name, content)
    return buffer.getvalue()


def _renamed_in_the_local_header(files: Files) -> bytes:
    made = write(ASIC_E, {"a.txt": b"hello", **files})
    return made.replace(b"a.txthello", b"b.txthello", 1)


def _gap(files: Files) -> bytes:
    """Octets between the last entry and the directory, which the end of the file accounts for."""
    made = write(ASIC_E, files)
    start = struct.unpack("<L", made[-6:-2])[0]
    moved = struct.pack("<L", start + 5)
    return made[:start] + b"12345" + made[start:-6] + moved + made[-2:]


def _hidden(files: Files) -> bytes:
    """An entry with a local header that the directory does not list."""
    made = write(ASIC_E, {**files, "zz.txt": b"zz"})
    name_at = made.rindex(b"zz.txt")
    entry_at = made.rindex(b"PK\x01\x02", 0, name_at)
    end = made[entry_at + 46 + 6 :]
    (size,) = struct.unpack("<L", end[-10:-6])
    count = struct.unpack("<H", end[-12:-10])[0] - 1
    tail = end[:8] + struct.pack("<HHL", count, count, size - 52) + end[-6:]
    return made[:entry_at] + tail


ZIP_GAMES: dict[str, tuple[Callable[[Files], bytes], str]] = {
    "a name twice": (_twice, "ASIC-NAMES"),
    "mimetype not first": (_mimetype_last, "ASIC-MIMETYPE"),
    "mimetype packed": (lambda files: _zipped(files, compress_type=zipfile.ZIP_DEFLATED), "ASIC-MIMETYPE"),
    "another mimetype": (lambda files: _zipped(files, b"application/zip"), "ASIC-MIMETYPE"),
    "another name in the local header": (_renamed_in_the_local_header, "ASIC-ZIP"),
    "octets between the entries": (_gap, "ASIC-ZIP"),
    "an entry that the directory does not list": (_hidden, "ASIC-ZIP"),
    "something behind": (lambda files: write(ASIC_E, files) + b"more", "ASIC-ZIP"),
    "cut off": (lambda files: write(ASIC_E, files)[:-30], "ASIC-ZIP"),
    "a bomb": (lambda files: _zipped({**files, "bomb": bytes(300 * 1024 * 1024)}), "ASIC-LIMIT"),
    "two thousand files": (lambda files: _zipped({**files, **{f"{n}": b"" for n in range(2000)}}), "ASIC-LIMIT"),
}


@pytest.mark.parametrize("game", ZIP_GAMES)
def test_games_with_zip_files(desk: Desk, files: Files, game: str) -> None:
    """A container that can be read in two ways is read in none."""
    play, rule = ZIP_GAMES[game]
    made = play(files)
    assert rules(desk, made) == {rule}
    assert outcome(judged(desk, made))[0] == ("INDETERMINATE" if rule == "ASIC-LIMIT" else "TOTAL-FAILED")


def test_a_packed_container_passes(desk: Desk, files: Files) -> None:
    """Deflated entries and folders are as good: other producers write them."""
    assert outcome(judged(desk, _zipped(files))) == ("TOTAL-PASSED", None)
    assert outcome(judged(desk, _zipped({**files, "folder/": b""}))) == ("TOTAL-PASSED", None)


def test_a_signature_that_brings_its_own_content_fails(desk: Desk, files: Files) -> None:
    """An attached signature over another manifest, in the place of the detached one."""
    other = files[MANIFEST].replace(b"pkcs7-signature", b"pkcs7-other")
    attached = sealed(desk, other, Form.named("cades", "attached"), Level.B_LT)
    assert rules(desk, write(ASIC_E, {**files, SIGNATURE: attached})) == {"ASIC-SIGNATURE"}


def test_two_signatures_over_parts(desk: Desk, files: Files) -> None:
    """Who signed one file has not signed the other: both verdicts say so, and together they cover everything."""
    other = unpacked(sealed(desk, b"second", EXTENDED, Level.B_LT, "b.txt"))
    both = {
        **files,
        "b.txt": b"second",
        "META-INF/ASiCManifest002.xml": other[MANIFEST],
        "META-INF/signature002.p7s": other[SIGNATURE],
    }
    verdict = judged(desk, write(ASIC_E, both))
    assert outcome(verdict) == ("TOTAL-FAILED", "FORMAT_FAILURE")  # the second manifest names the first signature
    renamed = re.sub(rb"signature001", b"signature002", other[MANIFEST])
    again = sealed(desk, renamed, Form.named("cades", "detached"), Level.B_LT)
    both |= {"META-INF/ASiCManifest002.xml": renamed, "META-INF/signature002.p7s": again}
    verdict = judged(desk, write(ASIC_E, both))
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert [one.coverage for one in verdict.signatures] == ["1 of 2 files", "1 of 2 files"]


@pytest.mark.parametrize("more", ["a second file", "a second signature", "something in META-INF"])
def test_a_simple_container_is_simple(desk: Desk, more: str) -> None:
    """ASiC-S has one file and one signature."""
    made = unpacked(sealed(desk, TEXT, SIMPLE, Level.B_LT, NAME))
    name = {"a second file": "b", "a second signature": "META-INF/signature2.p7s"}.get(more, "META-INF/other")
    from signing.asic_container import ASIC_S

    assert rules(desk, write(ASIC_S, {**made, name: b"x"})) == {"ASIC-SIMPLE"}


def test_an_unsigned_container_is_unsigned(desk: Desk) -> None:
    """A container without signatures is no forgery."""
    assert outcome(judged(desk, write(ASIC_E, {"a.txt": b"a"}))) == ("INDETERMINATE", "NO_SIGNATURE")


XML_SIGNATURES = "META-INF/signatures001.xml"
XML_GAMES: dict[str, tuple[Callable[[Files], Files], str]] = {
    "a file that nobody signed": (lambda files: {**files, "more.txt": b"more"}, "ASIC-UNCOVERED"),
    "a changed file": (lambda files: {**files, NAME: TEXT + b"!"}, "XML-HASH"),
    "a file that is gone": (lambda files: {one: files[one] for one in files if one != NAME}, "XML-DETACHED"),
    "signatures that are none": (lambda files: {**files, XML_SIGNATURES: b"<a/>"}, "ASIC-SIGNATURE"),
    "a file of signatures without any": (
        lambda files: {
            **files,
            "META-INF/signatures002.xml": b'<a:XAdESSignatures xmlns:a="http://uri.etsi.org/02918/v1.2.1#"/>',
        },
        "ASIC-SIGNATURE",
    ),
    "a reference to the signatures themselves": (
        lambda files: {
            **files,
            XML_SIGNATURES: re.sub(rb'URI="[^"#]+"', b'URI="META-INF/signatures001.xml"', files[XML_SIGNATURES]),
        },
        "XML-DETACHED",
    ),
}


@pytest.mark.parametrize("game", XML_GAMES)
def test_games_with_xades_inside(desk: Desk, game: str) -> None:
    """ASiC-E with XAdES: what is not referenced, changed or gone does not pass."""
    play, rule = XML_GAMES[game]
    files = unpacked(sealed(desk, TEXT, EXTENDED_XML, Level.B_LT, NAME))
    made = write(ASIC_E, play(files))
    assert rule in rules(desk, made)
    assert outcome(judged(desk, made))[0] != "TOTAL-PASSED"


def test_a_simple_container_with_xades_passes(desk: Desk) -> None:
    """ASiC-S with XAdES is judged, though not made here."""
    from signing.asic_container import ASIC_S

    files = unpacked(sealed(desk, TEXT, EXTENDED_XML, Level.B_LT, NAME))
    assert outcome(judged(desk, write(ASIC_S, files))) == ("TOTAL-PASSED", None)


def test_xmlsec1_verifies_the_signatures_of_a_container(desk: Desk, tmp_path: Path) -> None:
    """Unpacked, with the document beside, xmlsec1 accepts them."""
    from signing.xmldsig import XADES

    files = unpacked(sealed(desk, TEXT, EXTENDED_XML, Level.B_LT, "text.txt"))
    (tmp_path / "root.pem").write_bytes(desk.pki.root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "issuing.pem").write_bytes(desk.pki.issuing.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "text.txt").write_bytes(files["text.txt"])
    (tmp_path / "signatures.xml").write_bytes(files[XML_SIGNATURES])
    check = ["--verify", "--trusted-pem", "root.pem", "--untrusted-pem", "issuing.pem"]
    run("xmlsec1", *check, "--id-attr:Id", f"{XADES}:SignedProperties", "signatures.xml", cwd=tmp_path)


@pytest.mark.parametrize("packaging", ["cades", "xades"])
def test_several_documents_under_one_signature(desk: Desk, packaging: str) -> None:
    """What comes as a container without signatures is signed as the documents in it: each is covered, each is kept, and
    one that is changed or put in beside fails. A container that cannot be read in one way is refused."""
    documents = {"a.txt": TEXT, "ឯកសារ.txt": b"b", "folder/c.bin": bytes(1000)}
    several = write(ASIC_E, documents)
    form = Form.named("asic-e", packaging)
    made = sealed(desk, several, form, Level.B_LT, "together.asice")
    verdict = judged(desk, made)
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    (found,) = verdict.signatures
    assert found.coverage == "every file"
    container = read(made, 2**24)
    assert {one: container.content(one) for one in container.documents} == documents
    entries = {one: container.content(one) for one in container.names}
    assert outcome(judged(desk, write(ASIC_E, {**entries, "a.txt": b"x"})))[0] == "TOTAL-FAILED"
    assert outcome(judged(desk, write(ASIC_E, {"d.txt": b"d", **entries})))[0] == "TOTAL-FAILED"
    with pytest.raises(DocumentDamaged):
        sealed(desk, several + b"x", form, Level.B_LT)
