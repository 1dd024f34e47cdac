"""A specimen seal image, and the port that decodes it, for tests that need no confined process."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

RED = (180, 20, 20)
SECRET = "SPECIMEN camera 11.5564 N 104.9282 E"


def specimen(kind: str = "PNG", side: int = 300, colour: tuple[int, int, int] = RED) -> bytes:
    """Rings around a square, transparent outside of them where the kind can be; a PNG says where it was taken."""
    image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    pen.ellipse((4, 4, side - 5, side - 5), outline=(*colour, 255), width=side // 20)
    pen.rectangle((side // 3, side // 3, side * 2 // 3, side * 2 // 3), fill=(*colour, 255))
    out = BytesIO()
    if kind == "PNG":
        said = PngInfo()
        said.add_text("Location", SECRET)
        image.save(out, kind, pnginfo=said)
    else:
        image.convert("RGB").save(out, kind)
    return out.getvalue()


class InThisProcess:
    """Stands in for the confined process, which tests/story has for real."""

    def clean(self, data: bytes) -> bytes:
        came = Image.open(BytesIO(data)).convert("RGBA")
        flat = Image.new("RGB", came.size, "white")
        flat.paste(came, mask=came.getchannel("A"))
        out = BytesIO()
        flat.save(out, "JPEG", quality=90)
        return out.getvalue()
