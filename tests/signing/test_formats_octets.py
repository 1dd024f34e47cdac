"""Any octet of a signed file changed, cut out or doubled: it never passes over another document."""

from __future__ import annotations

import io
import json
import logging
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from signing import jws
from signing.cms_parts import CmsParts
from signing.forms import Form
from signing.model import Level
from signing.verify.model import Indication
from tests.signing.conftest import Desk
from tests.signing.formats import judged, sealed

XML = b'<c:contract xmlns:c="urn:x"><c:sum>100</c:sum></c:contract>'


def _in_container(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read("contract.xml")


def _in_xml(data: bytes) -> bytes:
    root = etree.fromstring(data)
    root.remove(root.find("{http://www.w3.org/2000/09/xmldsig#}Signature"))
    return etree.tostring(root, method="c14n")


CONTENT: dict[str, tuple[Form, Callable[[bytes], bytes | None]]] = {
    "cades": (Form.named("cades", "attached"), lambda data: CmsParts.parse(data).content),
    "xades": (Form.named("xades", "enveloped"), _in_xml),
    "jades": (Form.named("jades", "json"), lambda data: jws.decode(json.loads(data)["payload"])),
    "asic-e": (Form.named("asic-e", "cades"), _in_container),
    "asic-e with xades": (Form.named("asic-e", "xades"), _in_container),
    "asic-s": (Form.named("asic-s"), _in_container),
}


@pytest.mark.parametrize("kind", CONTENT)
def test_any_changed_octet(desk: Desk, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    """Whatever passes is about the document that was signed; what nobody signed may change what is known of it."""
    form, content = CONTENT[kind]
    made = sealed(desk, XML, form, Level.B_LT, "contract.xml")
    assert judged(desk, made).indication is Indication.TOTAL_PASSED
    assert content(made) == XML

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(
        at=st.integers(0, len(made) - 1),
        how=st.sampled_from(("flip", "cut", "double", "end")),
        bits=st.integers(1, 255),
        size=st.integers(1, 40),
    )
    def changed(at: int, how: str, bits: int, size: int) -> None:
        piece = made[at : at + size]
        other = {
            "flip": made[:at] + bytes((made[at] ^ bits,)) + made[at + 1 :],
            "cut": made[:at] + made[at + size :],
            "double": made[:at] + piece + made[at:],
            "end": made[:at],
        }[how]
        verdict = judged(desk, other)
        if verdict.indication is Indication.TOTAL_PASSED:
            assert content(other) == XML

    with caplog.at_level(logging.ERROR, "signing.verify"):
        changed()
    assert not [one for one in caplog.records if one.name.startswith("signing.verify")]


@pytest.mark.parametrize("kind", ["cades", "xades", "jades"])
def test_another_file_given_beside(desk: Desk, kind: str) -> None:
    """A signature with its document inside says nothing about a file that somebody names beside it."""
    made = sealed(desk, XML, CONTENT[kind][0], Level.B_LT, "contract.xml")
    assert judged(desk, made, detached=b"another").indication is Indication.TOTAL_FAILED
    if kind != "xades":
        assert judged(desk, made, detached=XML).indication is Indication.TOTAL_PASSED
