"""Files in which nothing is wrong: later signatures, evidence, renewals and filled-in forms, by several producers.

Each source document goes through each story. Every one of them must pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache, partial
from io import BytesIO
from typing import Any

import pikepdf
from pikepdf import Dictionary, Name, String
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter, append_signature_field

from bench.memory_keys import MemoryKeys
from foundation.clock import SetClock
from foundation.keys.port import KeyAlgorithm, KeyUse
from foundation.randomness import SystemRandomness
from signing.model import Level, SignatureText
from signing.sign.pades import PadesSigner
from tests.attacks.increments import changed, increment, trailer_of
from tests.attacks.sources import SOURCES
from tests.attacks.specimens import Place, Specimens, appearance, form_document
from tests.signing.specimen_pki import SpecimenPki
from tests.verify.verify_world import NOW, SIGNED_AT, World

Story = Callable[[World, bytes], bytes]
_HOUR = timedelta(hours=1)


@cache
def our_pki() -> SpecimenPki:
    """The PKI of the files that our own signer signs."""
    return SpecimenPki(SetClock(NOW - 2 * _HOUR))


@cache
def _our_signer() -> tuple[PadesSigner, Any]:
    keys, pki = MemoryKeys(), our_pki()
    signatory = pki.signatory(keys.generate("specimen", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL))
    store: Any = keys
    text = SignatureText()
    return PadesSigner(store, pki.timestamps, pki.status, pki.clock, SystemRandomness(), text), signatory


def ours(data: bytes, level: Level = Level.B_LT) -> bytes:
    signer, signatory = _our_signer()
    return signer.sign(signer.prepare(data, signatory=signatory, level=level))


# --- stories of any document


def _certified(world: World, data: bytes, level: MDPPerm) -> bytes:
    return world.sign(data, metadata={"certify": True, "docmdp_permissions": level})


def signed(world: World, data: bytes) -> bytes:
    return world.sign(data)


def long_term(world: World, data: bytes) -> bytes:
    return world.signed(data)


def archived(world: World, data: bytes) -> bytes:
    return world.timestamp(world.signed(data), SIGNED_AT + 3 * _HOUR)


def renewed(world: World, data: bytes) -> bytes:
    once = world.add_evidence(archived(world, data))
    return world.timestamp(once, SIGNED_AT + 6 * _HOUR, field="Stamp2")


def twice_renewed(world: World, data: bytes) -> bytes:
    again = world.add_evidence(renewed(world, data))
    return world.timestamp(again, SIGNED_AT + 9 * _HOUR, field="Stamp3")


def two_signatures(world: World, data: bytes) -> bytes:
    return world.add_evidence(world.sign(world.signed(data), field="Signature2"))


def four_signatures(world: World, data: bytes) -> bytes:
    for number in range(1, 5):
        data = world.sign(data, field=f"Signature{number}")
    return world.add_evidence(data)


def visible_then_visible(world: World, data: bytes) -> bytes:
    once = world.sign(data, box=(20, 20, 180, 70))
    return world.add_evidence(world.sign(once, field="Signature2", box=(200, 20, 290, 70)))


def prepared_field(world: World, data: bytes) -> bytes:
    """An empty visible field that is there when the first person signs, and that the second one signs."""
    writer = IncrementalPdfFileWriter(BytesIO(data))
    append_signature_field(writer, SigFieldSpec("Second", box=(20, 20, 180, 70)))
    output = BytesIO()
    writer.write(output)
    return world.add_evidence(world.sign(world.sign(output.getvalue()), field="Second"))


def evidence_twice(world: World, data: bytes) -> bytes:
    return world.add_evidence(world.add_evidence(world.sign(data)))


def empty_update(world: World, data: bytes) -> bytes:
    done = world.signed(data)
    return increment(done, {}, trailer_of(done))


def white_space(world: World, data: bytes) -> bytes:
    return world.signed(data) + b"\r\n\n"


def dates(world: World, data: bytes) -> bytes:
    """A producer that writes when it touched the document."""

    def touch(pdf: pikepdf.Pdf) -> list[Any]:
        info = pdf.trailer.get("/Info")
        if info is None:
            info = pdf.trailer.Info = pdf.make_indirect(Dictionary())
        info.ModDate = String("D:20261120120000Z")
        return [info]

    return changed(world.signed(data), touch)


def timestamped(world: World, data: bytes) -> bytes:
    """A document timestamp without evidence before it."""
    return world.add_evidence(world.timestamp(world.sign(data), SIGNED_AT + _HOUR))


def two_timestamps(world: World, data: bytes) -> bytes:
    return world.timestamp(archived(world, data), SIGNED_AT + 4 * _HOUR, field="Stamp2")


def visible(world: World, data: bytes) -> bytes:
    return archived(world, world.sign(data, box=(20, 20, 180, 70), field="First"))


def visible_three_times(world: World, data: bytes) -> bytes:
    for number in range(3):
        data = world.sign(data, field=f"Seen{number}", box=(20 + 90 * number, 20, 100 + 90 * number, 60))
    return world.add_evidence(data)


def pkcs7(world: World, data: bytes) -> bytes:
    return world.add_evidence(world.sign(data, subfilter=SigSeedSubFilter.ADOBE_PKCS7_DETACHED))


def certified_then_signed(world: World, data: bytes) -> bytes:
    return world.add_evidence(world.sign(_certified(world, data, MDPPerm.FILL_FORMS), field="Signature2"))


def certified_and_archived(world: World, data: bytes) -> bytes:
    once = world.add_evidence(_certified(world, data, MDPPerm.NO_CHANGES))
    return world.timestamp(once, SIGNED_AT + 3 * _HOUR)


def archived_then_signed(world: World, data: bytes) -> bytes:
    return world.add_evidence(world.sign(archived(world, data), field="Signature2"))


def empty_field_then_signed(world: World, data: bytes) -> bytes:
    """Between two signatures somebody prepares the field of the second, unseen."""
    writer = IncrementalPdfFileWriter(BytesIO(world.sign(data)))
    append_signature_field(writer, SigFieldSpec("Second"))
    output = BytesIO()
    writer.write(output)
    return world.add_evidence(world.sign(output.getvalue(), field="Second"))


def pyhanko_after_ours(world: World, data: bytes) -> bytes:
    return world.add_evidence(world.sign(ours(data), field="Signature2"))


def ours_long_term(_world: World, data: bytes) -> bytes:
    return ours(data)


def ours_archived(_world: World, data: bytes) -> bytes:
    return ours(data, Level.B_LTA)


def ours_after_pyhanko(world: World, data: bytes) -> bytes:
    return ours(world.signed(data))


def ours_twice(_world: World, data: bytes) -> bytes:
    return ours(ours(data), Level.B_LTA)


STORIES: dict[str, Story] = {
    "signed": signed,
    "long-term": long_term,
    "archived": archived,
    "renewed": renewed,
    "renewed-twice": twice_renewed,
    "two-signatures": two_signatures,
    "four-signatures": four_signatures,
    "visible-twice": visible_then_visible,
    "prepared-field": prepared_field,
    "evidence-twice": evidence_twice,
    "empty-update": empty_update,
    "white-space": white_space,
    "dates": dates,
    "timestamped": timestamped,
    "two-timestamps": two_timestamps,
    "visible": visible,
    "visible-three-times": visible_three_times,
    "pkcs7": pkcs7,
    "certified-then-signed": certified_then_signed,
    "certified-and-archived": certified_and_archived,
    "archived-then-signed": archived_then_signed,
    "empty-field-then-signed": empty_field_then_signed,
    "pyhanko-after-ours": pyhanko_after_ours,
    "ours-long-term": ours_long_term,
    "ours-archived": ours_archived,
    "ours-after-pyhanko": ours_after_pyhanko,
    "ours-twice": ours_twice,
}


# --- forms that are filled in after signing


def fill_by_hand(data: bytes, value: str = "SPECIMEN remark") -> bytes:
    def fill(pdf: pikepdf.Pdf) -> list[Any]:
        field, font = pdf.Root.AcroForm.Fields[1], pdf.Root.AcroForm.DR.Font.Helv
        field.V = String(value)
        field.AP = Dictionary(N=appearance(pdf, (72, 560, 400, 580), value.encode("cp1252"), font))
        return [field, field.AP.N]

    return changed(data, fill)


def fill_by_pyhanko(data: bytes) -> bytes:
    writer = IncrementalPdfFileWriter(BytesIO(data))
    field = writer.root["/AcroForm"]["/Fields"][1]
    font = writer.root["/AcroForm"]["/DR"]["/Font"].raw_get("/Helv")
    name = generic.NameObject
    drawn = generic.StreamObject(
        {
            name("/Type"): name("/XObject"),
            name("/Subtype"): name("/Form"),
            name("/BBox"): generic.ArrayObject([generic.NumberObject(one) for one in (0, 0, 328, 20)]),
            name("/Resources"): generic.DictionaryObject(
                {
                    name("/Font"): generic.DictionaryObject(
                        {name("/Helv"): generic.IndirectObject(font.idnum, font.generation, writer)}
                    )
                }
            ),
        },
        stream_data=b"/Tx BMC q BT /Helv 10 Tf 0 0 0 rg 2 6 Td (agreed) Tj ET Q EMC",
    )
    drawn.compress()
    field["/V"] = generic.TextStringObject("agreed")
    field["/AP"] = generic.DictionaryObject({name("/N"): writer.add_object(drawn)})
    writer.update_container(field)
    output = BytesIO()
    writer.write(output)
    return output.getvalue()


def tick(data: bytes) -> bytes:
    def change(pdf: pikepdf.Pdf) -> list[Any]:
        field = pdf.Root.AcroForm.Fields[2]
        field.V = field.AS = Name.Yes
        return [field]

    return changed(data, change)


def fill_by_pypdf(data: bytes) -> bytes:
    from pypdf import PdfWriter

    writer, output = PdfWriter(BytesIO(data), incremental=True), BytesIO()
    writer.update_page_form_field_values(writer.pages[0], {"remark": "agreed"}, auto_regenerate=False)
    writer.write(output)
    return output.getvalue()


FILLINGS: dict[str, Callable[[bytes], bytes]] = {
    "by-hand": fill_by_hand,
    "pyhanko": fill_by_pyhanko,
    "tick": tick,
    "accents": partial(fill_by_hand, value="Ménage à 5 (euros)".replace("(", "").replace(")", "")),
    "both": lambda data: tick(fill_by_hand(data)),
    "pypdf": fill_by_pypdf,
}


SIGNINGS: dict[str, Story] = {
    "approval": signed,
    "certified-2": partial(_certified, level=MDPPerm.FILL_FORMS),
    "certified-3": partial(_certified, level=MDPPerm.ANNOTATE),
}
AFTERWARDS: dict[str, Story] = {
    "and-no-more": lambda _, data: data,
    "and-evidence": lambda world, data: world.add_evidence(data),
    "and-signed-again": lambda world, data: world.sign(data, field="Signature2"),
    "and-archived": lambda world, data: world.timestamp(world.add_evidence(data), SIGNED_AT + 3 * _HOUR),
}


def benign() -> Iterator[Place]:
    for source, document in SOURCES.items():
        for name, story in STORIES.items():

            def make(specimens: Specimens, document: Any = document, story: Story = story) -> bytes:
                return story(specimens.world, document())

            yield Place(f"{source}/{name}", name, f"a document by {source}: {name}", make)
    for how, signing in SIGNINGS.items():
        for filling, fill in FILLINGS.items():
            for after, afterwards in AFTERWARDS.items():

                def filled(
                    specimens: Specimens, signing: Story = signing, fill: Any = fill, afterwards: Story = afterwards
                ) -> bytes:
                    return afterwards(specimens.world, fill(signing(specimens.world, form_document())))

                yield Place(f"filled/{how}/{filling}/{after}", "filled", f"{how}, filled in, {after}", filled)
