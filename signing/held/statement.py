"""What a person signs to release a held seal, as octets that never change for one seal."""

from __future__ import annotations

from foundation.clock import rfc3339
from signing.forms import Form, Format, Packaging
from signing.held.model import HeldSeal

NAME = "release.txt"
FORM = Form(Format.CADES, Packaging.DETACHED)
"""The form of the signature over it."""

_STATEMENT = (
    "ខ្ញុំបានពិនិត្យឯកសារនេះ ហើយអនុញ្ញាតឱ្យបោះត្រារបស់អង្គភាពលើវា។",
    "I have looked at this document, and let it be sealed in the name of the organisation.",
)


def release_of(held: HeldSeal) -> bytes:
    """The text, UTF-8: which document, by its SHA-256, for whom, and which seal."""
    lines = [
        "CamTrust release 1",
        "",
        *_STATEMENT,
        "",
        f"held seal: {held.held_id}",
        f"document (SHA-256): {held.sha256.hex()}",
        f"client: {held.client}",
        f"credential: {held.credential_id}",
        f"form: {held.form}",
        f"level: {held.level.value}",
        f"asked: {rfc3339(held.asked_at)}",
    ]
    return ("\n".join(lines) + "\n").encode()
