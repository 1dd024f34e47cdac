"""Every octet counts: what is changed, added, hidden or moved never passes."""

from __future__ import annotations

import re
from io import BytesIO

import pikepdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signing.verify import pdf_bytes
from signing.verify.model import Indication
from signing.verify.trust import Trust
from signing.verify.verdict import verify_file
from tests.verify.conftest import Octets
from tests.verify.verify_world import NOW, World, document


def byte_range(data: bytes) -> tuple[int, int, int, int]:
    found = re.search(rb"/ByteRange\s*\[\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", data)
    assert found is not None
    start, before, after, rest = (int(one) for one in found.groups())
    return start, before, after, rest


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(share=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_any_changed_octet_that_is_signed_fails(signed_octets: Octets, trust: Trust, share: float, flip: int) -> None:
    """Whatever octet of the signed range is changed to whatever: TOTAL-FAILED."""
    signed = signed_octets.data
    _, before, after, rest = byte_range(signed)
    position = int(share * (before + rest))
    position += after - before if position >= before else 0
    changed = bytearray(signed)
    changed[position] ^= flip
    verdict = verify_file(bytes(changed), "a.pdf", trust, NOW)
    assert verdict.indication is Indication.TOTAL_FAILED, (position, verdict.sub_indication)
    assert verdict.sub_indication in ("HASH_FAILURE", "SIG_CRYPTO_FAILURE", "FORMAT_FAILURE")


@pytest.mark.parametrize("position", range(8))
def test_a_header_that_is_none(signed: bytes, trust: Trust, position: int) -> None:
    """A signed PDF whose header is changed is no PDF, and still claims a signature, also where it begins like DER."""
    for octet in (0x30, 0x00, 0x7B):
        changed = bytearray(signed)
        changed[position] = octet
        assert verify_file(bytes(changed), "a.pdf", trust, NOW).indication is Indication.TOTAL_FAILED, octet


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(share=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_any_changed_octet_anywhere(signed_octets: Octets, trust: Trust, share: float, flip: int) -> None:
    """A changed octet in the signature's hole or behind the signed range gives a verdict, never an exception; where
    it still passes, the signature and all that was signed are what they were."""
    signed = signed_octets.data
    position = int(share * len(signed))
    changed = bytearray(signed)
    changed[position] ^= flip
    verdict = verify_file(bytes(changed), "a.pdf", trust, NOW)
    _, before, after, rest = byte_range(signed)
    if verdict.indication is Indication.TOTAL_PASSED:
        assert before <= position < after or position >= after + rest


def test_changed_signature_value(signed: bytes, trust: Trust) -> None:
    """Signed attributes and signature value, octet by octet where it matters: never a pass."""
    _, before, after, _ = byte_range(signed)
    contents = bytes.fromhex(signed[before + 1 : after - 1].decode())
    marker = bytes.fromhex("06092a864886f70d010904")  # id-messageDigest
    start = contents.index(marker)
    for offset in range(start, start + 60):
        changed = bytearray(contents)
        changed[offset] ^= 0x01
        document_ = signed[: before + 1] + bytes(changed).hex().encode() + signed[after - 1 :]
        verdict = verify_file(document_, "a.pdf", trust, NOW)
        assert verdict.indication is Indication.TOTAL_FAILED, offset


@pytest.mark.parametrize("tail", [b"x", b"\n%%EOF\nx", b"\n<script>", b"\x00\x00x", b"PK\x03\x04"])
def test_octets_behind_the_end(world: World, plain: bytes, trust: Trust, tail: bytes) -> None:
    """Anything but white space behind the last end of file: TOTAL-FAILED, whether or not there is a DSS."""
    for data in (world.sign(plain), world.signed(plain)):
        assert verify_file(data + b"\r\n \n", "a.pdf", trust, NOW).indication is Indication.TOTAL_PASSED
        verdict = verify_file(data + tail, "a.pdf", trust, NOW)
        assert verdict.indication is Indication.TOTAL_FAILED


def test_hole_wider_than_the_signature(world: World, plain: bytes, trust: Trust) -> None:
    """A hole that holds more than the Contents string hides something."""
    data = world.sign(plain)
    _, before, after, _ = byte_range(data)
    contents = data[before:after]
    for hole in (
        contents[:-1] + b"> " + b"",
        b" " + contents[1:],
        contents[:-3] + b"zz>",
        contents[:-3] + b"01>",
    ):
        changed = data[:before] + hole.ljust(len(contents), b" ")[: len(contents)] + data[after:]
        if changed != data:
            assert verify_file(changed, "a.pdf", trust, NOW).indication is Indication.TOTAL_FAILED


def test_signature_hidden_from_readers(world: World, plain: bytes, trust: Trust) -> None:
    """A signature dictionary in the octets that no field leads to is a failure, not "unsigned"."""
    with pikepdf.open(BytesIO(world.sign(plain))) as pdf:
        pdf.Root.AcroForm.Fields = pikepdf.Array()
        del pdf.pages[0].Annots
        output = BytesIO()
        pdf.save(output, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    rewritten = output.getvalue()
    if b"/ByteRange" not in rewritten:  # the writer dropped what nothing refers to: put it back as an object
        extra = b"\n99 0 obj\n<</Type/Sig/ByteRange[0 1 2 3]/Contents<00>>>\nendobj\n"
        rewritten = rewritten.replace(b"\nxref", extra + b"xref", 1)
    verdict = verify_file(rewritten, "a.pdf", trust, NOW)
    assert verdict.indication is Indication.TOTAL_FAILED
    assert verdict.sub_indication == "FORMAT_FAILURE"
    for spelling in (b"/Type /S#69g", b"/#54ype/Sig", b"/B#79teRange [0 1 2 3]"):
        hidden = document() + b"\n7 0 obj\n<<" + spelling + b">>\nendobj\nstartxref\n0\n%%EOF\n"
        assert verify_file(hidden, "a.pdf", trust, NOW).indication is Indication.TOTAL_FAILED


def test_attached_signed_document_is_a_stream(world: World, plain: bytes, trust: Trust) -> None:
    """A signed PDF attached to an unsigned one claims nothing about the outer document."""
    with pikepdf.open(BytesIO(plain)) as pdf:
        pdf.attachments["signed.pdf"] = world.signed(plain)
        for compress in (True, False):
            output = BytesIO()
            pdf.save(output, compress_streams=compress, stream_decode_level=pikepdf.StreamDecodeLevel.all)
            assert verify_file(output.getvalue(), "a.pdf", trust, NOW).sub_indication == "NO_SIGNATURE"


def test_the_same_signature_in_two_fields(world: World, plain: bytes, trust: Trust) -> None:
    """A second field with the same signature counts as a second claim that nothing stands behind."""
    from pyhanko.pdf_utils import generic
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(BytesIO(world.sign(plain)))
    form = writer.root["/AcroForm"]
    first = form["/Fields"][0]
    twin = generic.DictionaryObject(
        {
            generic.NameObject("/FT"): generic.NameObject("/Sig"),
            generic.NameObject("/T"): generic.TextStringObject("Twin"),
            generic.NameObject("/V"): generic.IndirectObject(
                first.raw_get("/V").idnum, first.raw_get("/V").generation, writer
            ),
        }
    )
    form["/Fields"].append(writer.add_object(twin))
    writer.update_container(form["/Fields"])
    output = BytesIO()
    writer.write(output)
    assert verify_file(output.getvalue(), "a.pdf", trust, NOW).indication is Indication.TOTAL_FAILED


def test_signature_moved_to_another_document(world: World, plain: bytes, trust: Trust) -> None:
    """A signature in front of another content of the same length: HASH_FAILURE."""
    data = world.sign(plain)
    other = data.replace(b"SPECIMEN agreement", b"SPECIMEN AGREEMENT", 1)
    assert other != data
    verdict = verify_file(other, "a.pdf", trust, NOW)
    assert (verdict.indication, verdict.sub_indication) == ("TOTAL-FAILED", "HASH_FAILURE")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    data=st.binary(max_size=400),
    head=st.sampled_from([b"", b"%PDF-1.7\n", b"\x30\x82\x01\x00", b"%PDF-1.7\n/ByteRange["]),
)
def test_noise_gives_a_verdict(trust: Trust, data: bytes, head: bytes) -> None:
    """Any octets give a verdict that is not a pass."""
    assert verify_file(head + data, "a", trust, NOW).indication is not Indication.TOTAL_PASSED


def test_stream_bodies_are_found_by_their_length() -> None:
    """A body that holds the word endstream is skipped as a whole; a length that does not hold is not believed."""
    body = b"endstream /ByteRange [1 2 3 4]"
    data = b"1 0 obj << /Length %d >>\nstream\n%s\nendstream endobj" % (len(body), body)
    assert not pdf_bytes.claims_any(data)
    indirect = b"1 0 obj << /Length 2 0 R >>\nstream\n%s\nendstream endobj\n2 0 obj\n%d\nendobj" % (body, len(body))
    assert not pdf_bytes.claims_any(indirect)
    wrong = b"1 0 obj << /Length 9999 >>\nstream\nx\nendstream endobj << /ByteRange [1 2 3 4] >>"
    assert pdf_bytes.claims_any(wrong)
