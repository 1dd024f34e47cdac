"""What was made quick says what the slow way says."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asn1crypto import cms, core
from hypothesis import given
from hypothesis import strategies as st
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfStreamError
from pyhanko.sign.fields import FieldMDPAction, FieldMDPSpec

from foundation.x509 import der
from signing.verify import pdf_bytes
from signing.verify.cms import _FORMS, CmsMalformed, read_message
from signing.verify.model import Indication
from signing.verify.pdf import _quick_hex, read_pdf
from signing.verify.pdf_bytes import RangeDigests
from signing.verify.pdf_changes import FieldLock
from signing.verify.policy import STRICT
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file
from tests.verify.verify_world import NOW, SIGNED_AT, World, document


@given(data=st.binary(max_size=9000), cut=st.integers(0, 1), spaces=st.integers(1, 40))
def test_hexadecimal_strings(data: bytes, cut: int, spaces: int) -> None:
    """Whatever white space is between the digits; an odd digit is followed by a zero."""
    digits = data.hex()[: len(data) * 2 - cut] if data else ""
    written = "\n ".join(digits[at : at + spaces] for at in range(0, len(digits), spaces)).encode()
    stream = BytesIO(b"<" + written + b">rest")
    expected = bytes.fromhex(digits + "0" * (len(digits) % 2))
    assert _quick_hex(stream).original_bytes == expected
    assert stream.read() == b"rest"


@pytest.mark.parametrize("written", [b"<41", b"<4x>", b"<41(>", b"<"])
def test_hexadecimal_strings_that_are_none(written: bytes) -> None:
    """No end, or something else inside: refused as pyHanko refuses it."""
    with pytest.raises(PdfStreamError):
        _quick_hex(BytesIO(written))


@given(
    data=st.binary(min_size=10, max_size=300),
    holes=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=8),
    told=st.integers(0, 8),
)
def test_digests_of_ranges(data: bytes, holes: list[tuple[float, float]], told: int) -> None:
    """In whatever order ranges come, and whichever were expected, each has the digest of its two parts."""
    ranges = []
    for left, right in holes:
        before, after = sorted((int(left * len(data)), int(right * len(data))))
        ranges.append((0, before, after, len(data) - after))
    digests = RangeDigests(data, ranges[:told])
    for one in ranges:
        for name in ("sha256", "sha512"):
            expected = hashlib.new(name, data[: one[1]] + data[one[2] :]).digest()
            assert digests.digest(one, name) == expected


class Counted:
    """A hash that counts the octets it is fed, in ``fed``, which its copies share."""

    def __init__(self, name: str, fed: list[int], inner: Any = None) -> None:
        self._name, self._fed, self._inner = name, fed, inner or hashlib.new(name)

    def update(self, octets: memoryview) -> None:
        self._fed.append(len(octets))
        self._inner.update(octets)

    def copy(self) -> Counted:
        return Counted(self._name, self._fed, self._inner.copy())

    def digest(self) -> bytes:
        return bytes(self._inner.digest())


def test_what_signatures_cover_together_is_hashed_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last is judged first; the ones before it do not start again."""
    first = world.signed(document())
    data = world.timestamp(first, SIGNED_AT + timedelta(hours=3))
    fed: list[int] = []
    monkeypatch.setattr(pdf_bytes, "hashlib", SimpleNamespace(new=lambda name: Counted(name, fed)))
    trust = build_trust(world.bundle(), frozenset({world.pin}), [], NOW, STRICT)
    verdict = verify_file(data, "two", trust, NOW)
    assert verdict.indication is Indication.TOTAL_PASSED
    assert len(verdict.signatures) == 2
    ranges = [one.byte_range for one in read_pdf(data, STRICT).signatures]
    assert sum(fed) == ranges[-1][1] + sum(rest for _, _, _, rest in ranges)


NAMES = st.text("ab.", max_size=5)


@given(action=st.sampled_from(FieldMDPAction), fields=st.lists(NAMES, max_size=3), name=NAMES)
def test_field_locks(action: FieldMDPAction, fields: list[str], name: str) -> None:
    """A lock holds the fields that pyHanko says it holds."""
    entries = FieldMDPSpec(action, fields).as_pdf_object()
    assert FieldLock.read(entries).holds(name) == FieldMDPSpec.from_pdf_object(entries).is_locked(name)


def test_field_locks_that_are_none() -> None:
    """Refused, and never taken for a lock that holds nothing."""
    with pytest.raises(ValueError, match="action"):
        FieldLock.read({"/Action": "/None"})
    with pytest.raises(KeyError):
        FieldLock.read({"/Action": "/Include"})
    odd: Any = generic.ArrayObject([generic.NumberObject(1)])
    with pytest.raises(ValueError, match="text strings"):
        FieldLock.read({"/Action": "/Include", "/Fields": odd}).holds("1")


@pytest.mark.parametrize("known", [True, False], ids=["registered", "unknown"])
@pytest.mark.parametrize("identifier", _FORMS)
def test_attributes_are_held_to_their_form(
    world: World, monkeypatch: pytest.MonkeyPatch, identifier: str, known: bool
) -> None:
    """Whether or not something else that was imported taught asn1crypto their form."""
    kinds: Any = cms.CMSAttributeType
    assert identifier in kinds._map  # by pyHanko's signing half, which the tests import
    if not known:
        monkeypatch.delitem(kinds._map, identifier)
    contents = read_pdf(world.signed(document()), STRICT).signatures[0].contents
    for octet in (*_FORMS[identifier], 0x02, 0x31, 0x80):
        message = with_attribute(contents, identifier, bytes((octet, 0)))
        if octet in _FORMS[identifier]:
            assert read_message(message).attributes_once
        else:
            with pytest.raises(CmsMalformed):
                read_message(message)


def with_attribute(contents: bytes, identifier: str, value: bytes) -> bytes:
    """The message with one signed attribute more. Its signature does not hold any longer."""
    message: Any = cms.ContentInfo.load(contents)
    signer = message["content"]["signer_infos"][0]
    added = der.tlv(der.SEQUENCE, core.ObjectIdentifier(identifier).dump() + der.tlv(der.SET, value))
    signer["signed_attrs"] = cms.CMSAttributes.load(der.tlv(der.SET, signer["signed_attrs"].contents + added))
    return bytes(message.dump())


def test_only_what_is_needed_is_imported(world: World, tmp_path: Path) -> None:
    """Verifying a PDF with a later revision imports neither pyHanko's signing half nor an HTTP client."""
    (tmp_path / "two.pdf").write_bytes(world.timestamp(world.signed(document()), SIGNED_AT + timedelta(hours=3)))
    program = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path\n"
        "from signing.verify.policy import STRICT; from signing.verify.trust import build_trust\n"
        "from signing.verify.verdict import verify_file\n"
        "now = datetime.now(UTC); trust = build_trust(None, frozenset(), [], now, STRICT)\n"
        "print(len(verify_file(Path(sys.argv[1]).read_bytes(), 'two', trust, now).signatures))\n"
        "print(*(name for name in ('pyhanko.pdf_utils', 'pyhanko.sign', 'aiohttp') if name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "two.pdf")],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.split() == ["2", "pyhanko.pdf_utils"]
