"""Pictures and notes of a document before it is signed: for its owner alone, bounded, and never on a disk."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import pikepdf
import pytest
from PIL import Image

from foundation.catalogue import Language
from signing.errors import DocumentNotFound
from signing.forms import Form
from signing.pdf_options import PdfOptions
from signing.preview import previews as module
from signing.preview.drawing import BOUNDS, MOST_PIXELS, Drawn, Task, perform
from signing.preview.previews import PageNotDrawn, PageNotFound, PreviewBusy, Previews
from signing.preview.worker import in_a_process
from signing.verify.sandbox import MIB, Bounds
from tests.signing.conftest import PIN, Desk
from tests.signing.sample_pdf import encrypted, sample


def pdf(pages: int = 1, width: float = 595, height: float = 842, script: bool = False) -> bytes:
    """A PDF with blank pages of this size."""
    document = pikepdf.new()
    for _ in range(pages):
        document.add_blank_page(page_size=(width, height))
    if script:
        document.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="app.alert(1)")
    written = BytesIO()
    document.save(written)
    return written.getvalue()


@pytest.fixture
def previews(desk: Desk) -> Previews:
    return Previews(desk.database, desk.custody)


def test_a_page_is_drawn_for_its_owner_and_kept_in_memory(
    desk: Desk, previews: Previews, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner gets a PNG, the second time without another process; to another person it is absent, and no blob is
    written for it."""
    person, other = desk.person(), desk.person()
    document = desk.service.upload(person.actor, "a.pdf", pdf(6)).document.document_id
    before = desk.blobs()
    picture = previews.page(person.actor, document, 1)
    assert abs(Image.open(BytesIO(picture)).width - 595 * 1.75) <= 1
    assert desk.blobs() == before
    monkeypatch.setattr(module, "in_a_process", lambda *_: None)
    assert previews.page(person.actor, document, 1) == picture
    previews.page(person.actor, document, 4)  # drawn together with the first
    with pytest.raises(PageNotDrawn):
        previews.page(person.actor, document, 5)
    with pytest.raises(DocumentNotFound):
        previews.page(other.actor, document, 1)
    with pytest.raises(DocumentNotFound):
        previews.notes(other.actor, document)
    desk.service.delete(person.actor, document)
    with pytest.raises(DocumentNotFound):
        previews.page(person.actor, document, 1)


def test_what_has_no_pictures(desk: Desk, previews: Previews) -> None:
    """A page that is not there, and a file that is no PDF."""
    person = desk.person()
    document = desk.service.upload(person.actor, "a.pdf", pdf()).document.document_id
    for number in (0, 2, 10**6):
        with pytest.raises(PageNotFound):
            previews.page(person.actor, document, number)
    other = desk.service.upload(person.actor, "a.txt", b"text", form=Form.named("cades", None))
    with pytest.raises(PageNotFound):
        previews.page(person.actor, other.document.document_id, 1)
    assert previews.notes(person.actor, other.document.document_id) == ()


def test_the_signed_document_is_what_is_shown_later(desk: Desk, previews: Previews) -> None:
    """Once it is signed, the picture is of the signed file, with the signature that shows."""
    person = desk.person()
    visible = PdfOptions.parse(visible="auto")
    document = desk.service.upload(person.actor, "a.pdf", pdf(), options=visible).document.document_id
    before = previews.page(person.actor, document, 1)
    (outcome,) = desk.service.authorise(
        person.actor, person.credential.credential_id, [document], pin=PIN, totp=person.code()
    )
    assert outcome.error is None
    after = previews.page(person.actor, document, 1)
    assert Image.open(BytesIO(before)).convert("L").getextrema()[0] == 255
    assert Image.open(BytesIO(after)).convert("L").getextrema()[0] < 128


def test_what_a_document_hides_is_told(desk: Desk, previews: Previews) -> None:
    """A script that runs by itself is told before signing, with its rule; an honest document has no notes."""
    person = desk.person()
    honest = desk.service.upload(person.actor, "a.pdf", sample()).document.document_id
    sly = desk.service.upload(person.actor, "b.pdf", pdf(script=True)).document.document_id
    assert previews.notes(person.actor, honest) == ()
    assert [one.rule for one in previews.notes(person.actor, sly)] == ["PRE-SCRIPT"]
    assert "script" in previews.notes(person.actor, sly)[0].message(Language.EN)


def test_many_are_looked_through_by_one_process(
    desk: Desk, previews: Previews, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notes of several documents cost one process together, and none the second time."""
    calls: list[int] = []

    def counted(tasks: Sequence[Task], bounds: Bounds) -> list[Drawn] | None:
        calls.append(len(tasks))
        return in_a_process(tasks, bounds)

    monkeypatch.setattr(module, "in_a_process", counted)
    person = desk.person()
    files = [pdf(), pdf(script=True), pdf(2)]
    ids = [desk.service.upload(person.actor, "a.pdf", one).document.document_id for one in files]
    found = previews.notes_of(person.actor, ids)
    assert [[note.rule for note in found[one]] for one in ids] == [[], ["PRE-SCRIPT"], []]
    assert previews.notes_of(person.actor, ids) == found
    assert calls == [3]


def test_a_password_opens_it(desk: Desk, previews: Previews) -> None:
    """An encrypted document is drawn with the password that came with it, and not without."""
    person, data = desk.person(), encrypted("SPECIMEN", "owner")
    document = desk.service.upload(person.actor, "a.pdf", data, password="SPECIMEN").document.document_id
    assert previews.page(person.actor, document, 1).startswith(b"\x89PNG")
    assert perform(Task(data, None, (0,))).failed


def test_bounds_of_size_time_and_memory(desk: Desk) -> None:
    """A huge page is drawn in few pixels; what takes too long or too much memory is not drawn."""
    drawn = perform(Task(pdf(width=14_000, height=14_000), None, (0,)))
    size = Image.open(BytesIO(drawn.pages[0])).size
    assert size[0] * size[1] <= MOST_PIXELS * 1.01
    assert in_a_process([Task(pdf(), None, (0,))], Bounds(seconds=0.01, memory=BOUNDS.memory)) is None
    little = in_a_process([Task(pdf(width=14_000, height=14_000), None, (0,))], Bounds(20, 48 * MIB))
    assert little is None or little[0].failed
    assert perform(Task(b"%PDF-1.7 nonsense", None, (0,))).failed
    person, hurried = desk.person(), Previews(desk.database, desk.custody, Bounds(0.01, BOUNDS.memory))
    document = desk.service.upload(person.actor, "a.pdf", pdf()).document.document_id
    with pytest.raises(PageNotDrawn):
        hurried.page(person.actor, document, 1)
    with pytest.raises(PageNotDrawn):
        hurried.notes(person.actor, document)


def test_only_so_many_at_once(desk: Desk, previews: Previews, monkeypatch: pytest.MonkeyPatch) -> None:
    """While others draw, one more waits a while and is then sent away, to come again."""
    monkeypatch.setattr(module, "_PATIENCE", 0.01)
    person = desk.person()
    document = desk.service.upload(person.actor, "a.pdf", pdf()).document.document_id
    previews._running.acquire()
    previews._running.acquire()
    with pytest.raises(PreviewBusy):
        previews.page(person.actor, document, 1)
    previews._running.release()
    assert previews.page(person.actor, document, 1)
