"""A verified transcript on paper: the record of the ceremonies as PDF/A-3b, and one sheet with the roots for the wall.

Both come from a replay that held, never from a file that was only read. The transcripts and ceremony files are attached
to the record. The same replay gives the same pages and the same /ID; only the metadata's time of making differs.

The record can be signed with the key of somebody who signed the last transcript (PAdES B-B), under a certificate that
the key itself signed and that holds for nothing else; what ties it to the person is the key's SHA-256 in the ceremony
file. A timestamp is not added.
"""

from __future__ import annotations

import hashlib
import io
import tomllib
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import segno
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fpdf.enums import Align
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, sign_pdf
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko_certvalidator.registry import SimpleCertificateStore

from camtrust.errors import RecordNotMade
from camtrust.pages import BLUE, GREY, INK, Page, Words
from foundation.clock import parse_rfc3339
from foundation.keys.port import KeyAlgorithm
from foundation.randomness import SystemRandomness, serial_number
from foundation.words import khmer_word_lines, word_lines
from foundation.x509.algorithms import key_algorithm
from foundation.x509.names import name_pairs
from root_ca.cosigning import FileKey
from root_ca.rules import RULES
from root_ca.structures import fingerprint
from root_ca.transcript import last_moment
from root_ca.verification import Replayed, Verification, audit_fingerprint

_MARGIN = 18.0
_DIGESTS = {
    KeyAlgorithm.EC_P256: "sha256",
    KeyAlgorithm.EC_P384: "sha384",
    KeyAlgorithm.EC_P521: "sha512",
    KeyAlgorithm.RSA_2048: "sha256",
    KeyAlgorithm.RSA_3072: "sha256",
    KeyAlgorithm.RSA_4096: "sha256",
}
_DAYS = 3653  # of the certificate that a record is signed under


def make_record(result: Verification) -> bytes:
    """The record of every act of a replay, as PDF/A-3b. RecordNotMade when the replay did not hold."""
    words = _checked(result)
    text = words["record"]
    title = f"{text['title_km']} · {text['title_en']}"
    page = _page(words, result, title)
    page.line_of(text["title_km"], "khmer", "B", 17, BLUE, Align.C, 11)
    page.line_of(text["title_en"], "latin", "B", 14, BLUE, Align.C, 8)
    page.ln(2)
    page.line_of(text["intro_km"], "khmer", size=10, height=7.5)
    page.line_of(text["intro_en"], size=9.5, height=5.4)
    _heading(page, text, "roots")
    for state in result.states:
        page.line_of(", ".join(f"{name}={value}" for name, value in name_pairs(state.certificate.subject)), style="B")
        _digest(page, "SHA-256", bytes.fromhex(fingerprint(state.certificate)))
    page.ln(1)
    page.line_of(f"{text['audit_km']} · {text['audit_en']}", "khmer", "B", 10, height=7)
    _digest(page, "", bytes.fromhex(audit_fingerprint(result) or ""))
    _heading(page, text, "acts")
    for number, act in enumerate(result.acts, 1):
        _act(page, text, number, act)
    for act in result.acts:
        for file in (act.path, act.path.parent / act.transcript.header.ceremony.file):
            page.embed_file(
                bytes=file.read_bytes(),
                basename=file.name,
                mime_type="application/json" if file.suffix == ".json" else "text/plain",
                associated_file_relationship="Source",
                creation_date=last_moment(act.transcript),
                modification_date=last_moment(act.transcript),
            )
    return bytes(page.output())


def make_wall_sheet(result: Verification) -> bytes:
    """One page: every root's name and SHA-256 in hex and words, and a QR code of all. RecordNotMade as above."""
    words = _checked(result)
    text, last = words["wall"], result.acts[-1]
    title = f"{text['title_km']} · {text['title_en']}"
    page = _page(words, result, title)
    page.set_auto_page_break(False)
    page.line_of(text["title_km"], "khmer", "B", 20, BLUE, Align.C, 12)
    page.line_of(text["title_en"], "latin", "B", 16, BLUE, Align.C, 8)
    page.line_of(text["intro_km"], "khmer", size=10, align=Align.C, height=7.5)
    page.line_of(text["intro_en"], size=9.5, align=Align.C, height=5.4)
    coded = ["CAMTRUST ROOT 1"]
    for state in result.states[-3:]:  # as many as fit one sheet: the newest
        sha256 = fingerprint(state.certificate)
        name = dict(name_pairs(state.certificate.subject)).get("CN", state.label)
        mark = f" ({text['ended_km']} · {text['ended_en']})" if state.ended else ""
        coded.append(f"{'ENDED ' if state.ended else ''}{name} SHA256 {sha256}")
        page.ln(2.5)
        page.line_of(f"{name}{mark}", "khmer" if mark else "latin", "B", 13, height=8)
        page.line_of(_grouped(sha256[:32]), size=12.5, height=6.4)
        page.line_of(_grouped(sha256[32:]), size=12.5, height=6.4)
        _words(page, bytes.fromhex(sha256), INK)
    coded += [f"AUDIT SHA256 {audit_fingerprint(result)}", f"TRANSCRIPT {last.path.name} SHA256 {last.sha256}"]
    _code(page, text, "\n".join(coded))
    return bytes(page.output())


def sign_record(record: bytes, result: Verification, key: Path, password: str | None) -> bytes:
    """The record, signed by one of the people who signed the last transcript, with the same key.

    Raises CosigningRefused for a key that cannot be opened, RecordNotMade when its owner has not signed the transcript,
    or for a kind of key that PDF signatures do not have here.
    """
    opened = FileKey(key, password)
    sha256 = hashlib.sha256(opened.public_key).hexdigest()
    owner = next((one for one in result.acts[-1].cosigners if one.key_sha256 == sha256), None)
    if owner is None:
        raise RecordNotMade(reason="the owner of this key has not signed the last transcript")
    at = last_moment(result.acts[-1].transcript).replace(microsecond=0)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{owner.role} {owner.name}")])
    certificate = opened.certificate(name, serial_number(SystemRandomness()), at, at + timedelta(days=_DAYS))
    own = asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
    store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    store.register(own)
    algorithm = key_algorithm(certificate.public_key())
    if algorithm not in _DIGESTS:
        raise RecordNotMade(reason=f"PDF signatures are not made with {algorithm.value} here")
    meta = PdfSignatureMetadata(
        field_name="Record",
        md_algorithm=_DIGESTS[algorithm],
        subfilter=SigSeedSubFilter.PADES,
        reason="Record of root ceremonies",
    )
    signed = sign_pdf(IncrementalPdfFileWriter(io.BytesIO(record)), meta, _OwnKey(opened, own, store))
    return bytes(signed.getvalue())


class _OwnKey(Signer):
    """A pyHanko signer that asks the person's key for each signature."""

    def __init__(self, key: FileKey, certificate: asn1_x509.Certificate, store: SimpleCertificateStore) -> None:
        super().__init__(signing_cert=certificate, cert_registry=store)
        self._key = key

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:  # noqa: ARG002
        """By the key's own algorithm, whose digest is ``digest_algorithm``; room enough for any in a dry run."""
        return bytes(512) if dry_run else self._key.sign(data)


def _checked(result: Verification) -> Words:
    if not result.valid:
        raise RecordNotMade(reason="the transcript does not verify")
    return tomllib.loads(files("camtrust").joinpath("ceremony_record.toml").read_text(encoding="utf-8"))


def _page(words: Words, result: Verification, title: str) -> Page:
    at = last_moment(result.acts[-1].transcript)
    page = Page(words, at, title, "km", archive=True, banner=_specimen(result), margin=_MARGIN)
    page.identity = hashlib.sha256(f"{title} {result.acts[-1].sha256}".encode()).digest()[:16]
    return page


def _specimen(result: Verification) -> bool:
    return any("SPECIMEN" in value for state in result.states for _, value in name_pairs(state.certificate.subject))


def _heading(page: Page, text: Words, name: str) -> None:
    page.ln(3)
    page.line_of(f"{text[f'{name}_km']} · {text[f'{name}_en']}", "khmer", "B", 13, BLUE, height=9)


def _grouped(hexadecimal: str) -> str:
    return " ".join(hexadecimal[at : at + 4] for at in range(0, len(hexadecimal), 4)).upper()


def _digest(page: Page, label: str, digest: bytes) -> None:
    page.line_of(f"{label} {digest.hex()}".strip(), size=8.5, height=5)
    _words(page, digest, GREY)


def _words(page: Page, digest: bytes, colour: tuple[int, int, int]) -> None:
    """A digest as words: English on the left, Khmer beside it."""
    for english, khmer in zip(word_lines(digest), khmer_word_lines(digest), strict=True):
        if page.will_page_break(6):
            page.add_page()
        top = page.get_y()
        page.line_of(english, size=8.5, colour=colour, height=6, left=_MARGIN + 4, width=80)
        page.set_y(top)
        page.line_of(khmer, "khmer", size=8.5, colour=colour, height=6, left=_MARGIN + 86)


def _act(page: Page, text: Words, number: int, act: Replayed) -> None:
    header = act.transcript.header
    page.ln(2)
    page.line_of(f"{number}. {header.title}", style="B", size=11)
    page.line_of(f"{header.act} · {act.path.name} · SHA-256 {act.sha256}", size=7.5, colour=GREY, height=4.6)
    software = header.software
    made_with = f"camtrust {software.camtrust} (modules {software.modules_sha256[:16]}…), Python {software.python}"
    key = act.transcript.step("ROOT-KEY").inputs
    if "token" in key:
        emulated = {"yes": ", emulated"}.get(key["token_emulated"], "")
        made_with += f"; {key['token']} ({key['token_sha256'][:16]}…{emulated})"
    page.line_of(made_with, size=7.5, colour=GREY, height=4.6)
    page.line_of(f"{text['made_km']} · {text['made_en']}", "khmer", "B", 9, height=7)
    for output, sha256 in act.transcript.step("ROOT-OUTPUT").outputs.items():
        page.line_of(f"{output}  SHA-256 {sha256}", size=8, height=4.8, left=_MARGIN + 4)
    page.line_of(f"{text['steps_km']} · {text['steps_en']}", "khmer", "B", 9, height=7)
    for step in act.transcript.steps:
        at = parse_rfc3339(step.at).replace(microsecond=0).strftime("%Y-%m-%d %H:%M:%S")
        about = f" ({step.inputs['output']})" if "output" in step.inputs else ""
        said = f"{at}  {step.rule}{about}: {RULES.get(step.rule, '')}"
        page.line_of(said, size=7.5, height=4.5, left=_MARGIN + 4)
    page.line_of(f"{text['signed_km']} · {text['signed_en']}", "khmer", "B", 9, height=7)
    if not act.cosigners:
        page.line_of(f"{text['nobody_km']} {text['nobody_en']}", "khmer", size=8.5, height=6, left=_MARGIN + 4)
    for person in act.cosigners:
        said = f"{person.role} {person.name}, key SHA-256 {person.key_sha256}"
        page.line_of(said, "latin", size=8, height=4.8, left=_MARGIN + 4)
    if act.timestamp:
        at = f"{act.timestamp.at:%Y-%m-%d %H:%M:%S} UTC"
        said = f"{text['stamp_km']} · {text['stamp_en']}: {at}, {act.timestamp.unit}"
        page.line_of(said, "khmer", size=8.5, height=6, left=_MARGIN + 4)


def _code(page: Page, text: Words, content: str) -> None:
    """A QR code (ISO/IEC 18004) at the foot of the page, drawn as squares."""
    side = 52.0
    top = page.h - 24 - side
    page.set_y(top)
    width = page.epw - side - 6
    page.line_of(text["code_km"], "khmer", size=9.5, height=7, width=width)
    page.line_of(text["code_en"], size=9, height=5, width=width)
    for line in content.splitlines():
        page.line_of(line, size=5.6, colour=GREY, height=3.2, width=width)
    code = segno.make(content, error="m", micro=False, boost_error=False)
    rows = [bytes(row) for row in code.matrix]
    unit = side / len(rows)
    page.set_fill_color(0, 0, 0)
    left = page.w - _MARGIN - side
    for down, row in enumerate(rows):
        start = 0
        while start < len(row):
            end = start
            while end < len(row) and row[end] == row[start]:
                end += 1
            if row[start]:
                page.rect(left + start * unit, top + down * unit, (end - start) * unit, unit * 1.02, style="F")
            start = end
