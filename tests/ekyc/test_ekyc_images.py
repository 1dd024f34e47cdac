"""Images of documents: what is taken, what is refused, and that decoding them can hurt nobody."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ekyc.errors import EkycError
from ekyc.evidence.errors import (
    ImageAnimated,
    ImageBroken,
    ImageFormatUnknown,
    ImageReaderBusy,
    ImageReaderUnavailable,
    ImageTooCostly,
    ImageTooLarge,
    ImageTooSmall,
)
from ekyc.imaging import ImageLimits, ImageReader, confinement, sandbox
from ekyc.imaging.decoding import CAUSES, Refused, decode
from tests.ekyc import images

MIB = 1024 * 1024


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_honest_images_are_read_behind_every_wall(kind: str) -> None:
    """What comes back is a JPEG of the same picture; each wall stood while it was decoded."""
    clean = ImageReader().read(images.photograph(kind))
    assert (clean.width, clean.height, clean.came_as) == (*images.SIZE, kind)
    assert clean.walls == {"limits", "no-new-privileges", "no-network", "system-calls"}
    picture = Image.open(io.BytesIO(clean.data))
    assert (picture.format, picture.size) == ("JPEG", images.SIZE)
    assert picture.getpixel((5, 5)) != picture.getpixel((5, 390))


@pytest.mark.parametrize("data", [images.archive(), images.page(), images.talkative()], ids=["zip", "html", "png-text"])
def test_polyglot_files_come_back_as_pixels_alone(data: bytes) -> None:
    """What another program would read as an archive or a page is gone."""
    assert images.SECRET in data or zipfile.is_zipfile(io.BytesIO(data))
    kept = ImageReader().read(data).data
    assert images.SECRET not in kept
    assert not zipfile.is_zipfile(io.BytesIO(kept))


def test_metadata_do_not_stay_and_the_picture_stands_upright() -> None:
    """Place, device and comment are gone; the orientation that they told is applied."""
    data = images.with_place()
    clean = ImageReader().read(data)
    assert (clean.width, clean.height) == images.SIZE[::-1]
    for told in (b"SPECIMEN-PHONE", b"N-OF-THE-SPECIMEN", b"SPECIMEN-COMMENT", b"Exif"):
        assert told in data
        assert told not in clean.data
    assert not Image.open(io.BytesIO(clean.data)).getexif()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"GIF89a" + bytes(300), ImageFormatUnknown),
        (b"%PDF-1.7 " + bytes(300), ImageFormatUnknown),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", ImageFormatUnknown),
        (b"", ImageFormatUnknown),
        (images.animated("PNG"), ImageAnimated),
        (images.animated("WEBP"), ImageAnimated),
        (images.photograph()[:3000], ImageBroken),
        (images.photograph("PNG")[:1000], ImageBroken),
        (images.photograph("WEBP")[:500], ImageBroken),
        (images.photograph(size=(400, 150)), ImageTooSmall),
        (images.png(65_535, 65_535, rows=False), ImageTooLarge),
        (images.png(30, 20_000), ImageTooLarge),
        (images.photograph() + bytes(8 * MIB), ImageTooLarge),
        (images.text_bomb(100), ImageBroken),
    ],
    ids=[
        "gif", "pdf", "svg", "empty", "apng", "webp-animated", "cut-jpeg", "cut-png", "cut-webp",
        "small", "claims-4-gigapixels", "long", "heavy", "text-bomb",
    ],
)  # fmt: skip
def test_what_is_no_photograph_is_refused(data: bytes, error: type[EkycError]) -> None:
    """Each by its own reason, told by content: a name or a content type is never asked."""
    with pytest.raises(error):
        ImageReader().read(data)


def test_a_decompression_bomb_meets_two_walls() -> None:
    """It is refused by its size; where that limit is off, the process that unpacks it is ended by its memory limit;
    where both are off, it unpacks."""
    bomb = images.png(9_000, 9_000)
    assert len(bomb) < MIB
    with pytest.raises(ImageTooLarge):
        ImageReader().read(bomb)
    with pytest.raises(ImageTooCostly):
        ImageReader(ImageLimits(pixels=200_000_000, memory=400 * MIB)).read(bomb)
    unlimited = ImageLimits(pixels=200_000_000, memory=4096 * MIB, cpu_seconds=60, seconds=120)
    assert ImageReader(unlimited).read(bomb).width == 3_000


def test_time_is_bounded() -> None:
    """A worker that is not done in time is ended, and the caller told."""
    with pytest.raises(ImageTooCostly):
        ImageReader(ImageLimits(seconds=0.01)).read(images.photograph())


def test_only_a_few_workers_at_once() -> None:
    """Who comes when all are at work waits, and is then asked to come again."""
    reader = ImageReader(ImageLimits(at_once=1, queue_seconds=0))
    with reader.turn(), pytest.raises(ImageReaderBusy):
        reader.read(images.photograph())
    assert reader.read(images.photograph()).came_as == "JPEG"


_ATTEMPTS = """
import ctypes, os, socket, sys
sys.path.insert(0, sys.argv[1])
from ekyc.imaging.confinement import confine
import os, subprocess, tempfile
walls = confine(1 << 30, 10, 1 << 20, starts_program=sys.argv[3] == "program") if sys.argv[2] == "walls" else set()
done = []
def attempt(name, call):
    try:
        call()
        done.append(name)
    except OSError:
        pass
attempt("file", lambda: os.open("/etc/passwd", os.O_RDONLY))
attempt("write", lambda: os.open("/tmp/ekyc-attempt", os.O_WRONLY | os.O_CREAT))
attempt("socket", lambda: socket.socket(socket.AF_INET))
attempt("unix", lambda: socket.socket(socket.AF_UNIX))
attempt("fork", lambda: os.fork() or os._exit(0))
attempt("kill", lambda: os.kill(os.getppid(), 0))
os.write(1, (" ".join(done) + "|" + " ".join(sorted(walls))).encode())
os._exit(0)
"""


def attempts(walls: str, role: str = "decoder") -> tuple[set[str], set[str]]:
    command = [sys.executable, "-I", "-c", _ATTEMPTS, sandbox._ROOT, walls, role]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True, text=True).stdout
    succeeded, _, standing = done.partition("|")
    return set(succeeded.split()), set(standing.split())


def test_whoever_takes_over_the_decoder_can_do_nothing() -> None:
    """Behind the walls no file, socket, process or signal is to be had; without them, all are."""
    free, _ = attempts("none")
    assert {"file", "socket", "unix", "fork", "kill"} <= free
    confined, standing = attempts("walls")
    assert confined == set()
    assert standing >= confinement.REQUIRED


def test_a_program_behind_the_walls_has_files_and_nothing_else() -> None:
    """What reads letters must load its data; it gets no network, no other process and no signal."""
    confined, standing = attempts("walls", "program")
    assert not confined & {"socket", "unix", "kill", "fork"}
    assert "file" in confined
    assert standing >= confinement.REQUIRED


def test_without_walls_nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that cannot confine the worker reads no image."""
    without = "worker.confine = lambda *a, **k: frozenset({'limits'}); "
    monkeypatch.setattr(sandbox, "_START", sandbox._START + without)
    with pytest.raises(ImageReaderUnavailable):
        ImageReader().read(images.photograph())


@pytest.mark.parametrize(
    "says",
    [
        "b''",
        "b'{}\\n'",
        "b'[1]\\n'",
        """b'{"cause": null, "width": 1, "height": 1, "came_as": "JPEG", "walls": []}\\nnot an image'""",
        "b'x' * (17 << 20)",
    ],
    ids=["nothing", "empty", "list", "no-jpeg", "too-much"],
)
def test_a_worker_that_lies_is_not_believed(monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    """Whatever a worker that was taken over answers, it is not an image and fills no memory."""
    lying = f"worker._answer = lambda *a: (__import__('os').write(1, {says}), __import__('os')._exit(0)); "
    monkeypatch.setattr(sandbox, "_START", sandbox._START + lying)
    with pytest.raises((ImageReaderUnavailable, ImageTooCostly)):
        ImageReader().read(images.photograph())


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([images.photograph(kind) for kind in ("JPEG", "PNG", "WEBP")]),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8),
    st.integers(0, 10_000) | st.none(),
)
def test_any_damage_is_refused_or_gives_pixels(data: bytes, changes: list[tuple[int, int]], cut: int | None) -> None:
    """Bytes changed or cut off anywhere: a refusal by name or a picture, never another failure."""
    damaged = bytearray(data[:cut] if cut is not None else data)
    for at, value in changes:
        if damaged:
            damaged[at % len(damaged)] = value
    try:
        made = decode(bytes(damaged), ImageLimits()).data
    except Refused as error:
        made = str(error).encode()
    assert made.startswith(b"\xff\xd8\xff") or made.decode() in CAUSES
