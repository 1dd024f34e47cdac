"""Images as strangers send them: honest ones, and those that attack whoever decodes them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

from PIL import Image, PngImagePlugin

SIZE = (640, 400)
SECRET = b"<script>SPECIMEN payload</script>"


def photograph(kind: str = "JPEG", size: tuple[int, int] = SIZE, **saved: object) -> bytes:
    """A picture with a gradient, so that a lost corner would be seen."""
    picture = Image.linear_gradient("L").resize(size).convert("RGB")
    buffer = io.BytesIO()
    picture.save(buffer, kind, **saved)
    return buffer.getvalue()


def with_place() -> bytes:
    """A JPEG whose metadata tell place and device, lying on its side."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "SPECIMEN-PHONE", 6
    exif.get_ifd(0x8825)[1] = "N-OF-THE-SPECIMEN"
    return photograph(exif=exif, comment=b"SPECIMEN-COMMENT")


def archive() -> bytes:
    """A JPEG that is a ZIP as well."""
    buffer = io.BytesIO(photograph())
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a") as file:
        file.writestr("page.html", SECRET)
    return buffer.getvalue()


def page() -> bytes:
    """A JPEG whose comment is a page for a browser."""
    return photograph(comment=SECRET)


def talkative() -> bytes:
    """A PNG with text in it, and more behind its end."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", SECRET.decode())
    return photograph("PNG", pnginfo=info) + SECRET


def animated(kind: str) -> bytes:
    frames = [Image.new("RGB", SIZE, colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=100)
    return buffer.getvalue()


def png(width: int, height: int, *chunks: bytes, rows: bool = True) -> bytes:
    """A PNG of one colour, small however large it claims to be."""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(bytes(1 + 3 * width)) for _ in range(height if rows else 1)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def text_bomb(megabytes: int) -> bytes:
    """A PNG with a compressed comment that is large when unpacked."""
    packed = zlib.compress(bytes(megabytes * 1024 * 1024), 9)
    return png(*SIZE, _chunk(b"zTXt", b"Comment\x00\x00" + packed))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
