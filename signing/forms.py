"""The forms that a signature can take: a format, and how document and signature go together in it.

format    packaging                         standard            levels
pades     (inside the PDF)                  EN 319 142-1        B-B B-T B-LT B-LTA
cades     detached, attached                EN 319 122-1        B-B B-T B-LT B-LTA
cades     parallel, counter                 EN 319 122-1        B-B B-T B-LT       (a signed message goes in)
asic-e    cades                             EN 319 162-1        B-B B-T B-LT
asic-e    xades                             EN 319 162-1        B-B B-T B-LT B-LTA
asic-s    cades                             EN 319 162-1        B-B B-T B-LT B-LTA
xades     enveloping, enveloped, detached   EN 319 132-1        B-B B-T B-LT B-LTA
xades     counter                           EN 319 132-1        B-B B-T B-LT       (a signed file goes in)
jades     json                              TS 119 182-1        B-B B-T B-LT B-LTA
jades     compact                           TS 119 182-1        B-B

pades, cades over a digest: the document stays elsewhere; B-B B-T B-LT. No client names this form: its document is a
digest, which `signing.csc` and the portal take as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from signing.asic_container import ASIC_E, ASIC_S
from signing.errors import FormUnknown, LevelNotAllowed
from signing.model import Level


class Format(StrEnum):
    PADES = "pades"
    CADES = "cades"
    XADES = "xades"
    JADES = "jades"
    ASIC_E = "asic-e"
    ASIC_S = "asic-s"


class Packaging(StrEnum):
    """How document and signature go together; inside a container: which signatures it holds."""

    DETACHED = "detached"
    ATTACHED = "attached"
    ENVELOPED = "enveloped"
    ENVELOPING = "enveloping"
    COMPACT = "compact"
    JSON = "json"
    CADES = "cades"
    XADES = "xades"
    PARALLEL = "parallel"  # the document is a signed message: one more signer in it
    COUNTER = "counter"  # … a signature over its signature
    DIGEST = "digest"  # the document is known by its digest alone

    @property
    def adds(self) -> bool:
        """Whether the document has signatures already, to which one is added."""
        return self in (Packaging.PARALLEL, Packaging.COUNTER)


@dataclass(frozen=True)
class Form:
    """A format with its packaging. ``packaging`` None: PAdES, which has one alone."""

    format: Format
    packaging: Packaging | None = None

    @classmethod
    def named(cls, format_name: str | None, packaging: str | None = None) -> Form:
        """The form of these names; without a packaging the first of the format. FormUnknown."""
        try:
            kind = Format(format_name or Format.PADES)
            chosen = Packaging(packaging) if packaging else None
        except ValueError:
            raise FormUnknown from None
        allowed = [form.packaging for form in _KINDS if form.format is kind and form not in DIGESTS]
        if chosen is None:
            chosen = allowed[0]
        if chosen not in allowed:
            raise FormUnknown
        return cls(kind, chosen)

    @classmethod
    def parse(cls, text: str) -> Form:
        """The inverse of ``str``."""
        return next((one for one in DIGESTS if str(one) == text), None) or cls.named(*text.split("/"))

    def __str__(self) -> str:
        return f"{self.format}/{self.packaging}" if self.packaging else str(self.format)

    @property
    def media_type(self) -> str:
        return _KINDS[self].media_type

    @property
    def parallel(self) -> bool:
        """Whether two signatures over the same document, one of them by ML-DSA, can stand in one file of this form."""
        return self in _PARALLEL

    @property
    def highest(self) -> Level:
        """The highest level that is made in this form."""
        return _KINDS[self].highest

    def level(self, asked: Level | None, default: Level) -> Level:
        """The level to sign at: the one asked for, else the default, or what the form has where that is less.

        LevelNotAllowed for one asked for that the form does not have: nothing is lowered silently.
        """
        if asked is None:
            return default if self.highest.includes(default) else self.highest
        if not self.highest.includes(asked):
            raise LevelNotAllowed(level=asked.value)
        return asked

    def file_name(self, name: str) -> str:
        """What the result is called, for a document of this name."""
        if self == PADES:
            stem = name[:-4] if name.lower().endswith(".pdf") else name
            return f"{stem or 'document'}.signed.pdf"
        if self.packaging is not None and self.packaging.adds:
            stem, _, suffix = name.rpartition(".")
            return f"{stem or name}.{self.packaging}.{suffix if stem else _KINDS[self].suffix.lstrip('.')}"
        return f"{name}{_KINDS[self].suffix}"


PADES = Form(Format.PADES)
PADES_DIGEST = Form(Format.PADES, Packaging.DIGEST)
CADES_DIGEST = Form(Format.CADES, Packaging.DIGEST)
DIGESTS = (PADES_DIGEST, CADES_DIGEST)


@dataclass(frozen=True)
class _Kind:
    media_type: str
    suffix: str
    highest: Level


# The first of each format is its default.
_KINDS = {
    PADES: _Kind("application/pdf", ".signed.pdf", Level.B_LTA),
    Form(Format.CADES, Packaging.DETACHED): _Kind("application/pkcs7-signature", ".p7s", Level.B_LTA),
    Form(Format.CADES, Packaging.ATTACHED): _Kind("application/pkcs7-mime", ".p7m", Level.B_LTA),
    Form(Format.CADES, Packaging.PARALLEL): _Kind("application/pkcs7-mime", ".p7m", Level.B_LT),
    Form(Format.CADES, Packaging.COUNTER): _Kind("application/pkcs7-mime", ".p7m", Level.B_LT),
    Form(Format.XADES, Packaging.ENVELOPING): _Kind("application/xml", ".xades.xml", Level.B_LTA),
    Form(Format.XADES, Packaging.ENVELOPED): _Kind("application/xml", ".xades.xml", Level.B_LTA),
    Form(Format.XADES, Packaging.DETACHED): _Kind("application/xml", ".xades.xml", Level.B_LTA),
    Form(Format.XADES, Packaging.COUNTER): _Kind("application/xml", ".xades.xml", Level.B_LT),
    Form(Format.JADES, Packaging.JSON): _Kind("application/jose+json", ".jws.json", Level.B_LTA),
    Form(Format.JADES, Packaging.COMPACT): _Kind("application/jose", ".jws", Level.B_B),
    Form(Format.ASIC_E, Packaging.CADES): _Kind(ASIC_E, ".asice", Level.B_LT),
    Form(Format.ASIC_E, Packaging.XADES): _Kind(ASIC_E, ".asice", Level.B_LTA),
    Form(Format.ASIC_S, Packaging.CADES): _Kind(ASIC_S, ".asics", Level.B_LTA),
    PADES_DIGEST: _Kind("application/json", ".json", Level.B_LT),
    CADES_DIGEST: _Kind("application/json", ".json", Level.B_LT),
}


def media_type(signed: bytes) -> str:
    """Of a signed file, by its content."""
    if b"%PDF-" in signed[:1024]:
        return "application/pdf"
    if signed[:2] == b"PK":
        return ASIC_S if ASIC_S.encode() in signed[:200] else ASIC_E
    if signed[:1] == b"0":
        return "application/pkcs7-mime"
    return "application/jose+json" if signed.lstrip()[:1] == b"{" else "application/xml"


# XML Signature has no names for ML-DSA, and the compact form of JSON has room for one signature.
_PARALLEL = {
    PADES,
    Form(Format.CADES, Packaging.DETACHED),
    Form(Format.CADES, Packaging.ATTACHED),
    Form(Format.JADES, Packaging.JSON),
    Form(Format.ASIC_E, Packaging.CADES),
    Form(Format.ASIC_S, Packaging.CADES),
}
