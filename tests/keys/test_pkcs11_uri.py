"""Addresses of PKCS#11 tokens: RFC 7512, strictly."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.catalogue import Language
from foundation.keys.pkcs11.errors import KeyUriInvalid
from foundation.keys.pkcs11.uri import Pkcs11Uri, parse_uri

MODULE = "?module-path=/usr/lib/specimen.so"


def test_an_address_is_decoded() -> None:
    """Path attributes in any order, percent-encoded octets as UTF-8, the scheme in any case (RFC 3986 §3.1)."""
    assert parse_uri("PKCS11:serial=0a1b;token=The%20%E1%9E%80%20token;slot-id=7?module-path=/opt/a%20b/x.so") == (
        Pkcs11Uri(Path("/opt/a b/x.so"), token="The ក token", serial="0a1b", slot_id=7)
    )
    assert parse_uri("pkcs11:manufacturer=A&B;model=(x)=1;token=a" + MODULE) == (
        Pkcs11Uri(Path("/usr/lib/specimen.so"), token="a", manufacturer="A&B", model="(x)=1")
    )


@pytest.mark.parametrize(
    ("uri", "part"),
    [
        ("", "pkcs11:"),
        ("pkcs11", "pkcs11:"),
        ("file:token=a" + MODULE, "pkcs11:"),
        ("pkcs11:" + MODULE, "token"),
        ("pkcs11:model=a;manufacturer=b" + MODULE, "token"),
        ("pkcs11:token=a", "module-path"),
        ("pkcs11:token=a?module-path=usr/lib/x.so", "module-path"),
        ("pkcs11:token=a?module-path=/x%00y.so", "module-path"),
        ("pkcs11:token=a?module-name=softhsm2", "module-name"),
        ("pkcs11:token=a?module-path=/x.so&module-path=/y.so", "module-path"),
        ("pkcs11:token=a;token=a" + MODULE, "token"),
        ("pkcs11:token" + MODULE, "token"),
        ("pkcs11:token=" + MODULE, "token"),
        ("pkcs11:token=a b" + MODULE, "token"),
        ("pkcs11:token=a%2" + MODULE, "token"),
        ("pkcs11:token=a%ff" + MODULE, "token"),
        ("pkcs11:token=a/b" + MODULE, "token"),
        ("pkcs11:token=ក" + MODULE, "token"),
        ("pkcs11:token=" + "a" * 33 + MODULE, "token"),
        ("pkcs11:token=" + "%E1%9E%80" * 11 + MODULE, "token"),
        ("pkcs11:serial=" + "a" * 17 + MODULE, "serial"),
        ("pkcs11:slot-id=-1" + MODULE, "slot-id"),
        ("pkcs11:slot-id=x" + MODULE, "slot-id"),
        ("pkcs11:token=a;" + MODULE, "…"),
        ("pkcs11:;token=a" + MODULE, "…"),
        ("pkcs11:token=a;object=key" + MODULE, "object"),
        ("pkcs11:token=a;id=%01" + MODULE, "id"),
        ("pkcs11:token=a;type=private" + MODULE, "type"),
        ("pkcs11:token=a;vendor=x" + MODULE, "vendor"),
        ("pkcs11:token=a" + MODULE + "&pin-source=file:/run/pin", "pin-source"),
    ],
)
def test_what_is_not_an_address_of_a_token_is_refused(uri: str, part: str) -> None:
    """Unknown, repeated, missing, empty, too long or badly encoded: refused, and the attribute is named."""
    with pytest.raises(KeyUriInvalid) as refused:
        parse_uri(uri)
    assert refused.value.params == {"part": part}


@pytest.mark.parametrize("query", ["&pin-value=SPECIMEN-1234", "&SPECIMEN-1234", "&pin%2dvalue=SPECIMEN-1234"])
def test_a_pin_in_an_address_is_refused_and_not_repeated(query: str) -> None:
    """A PIN does not belong in an address, and no message tells it again."""
    with pytest.raises(KeyUriInvalid) as refused:
        parse_uri("pkcs11:token=a" + MODULE + query)
    for said in (str(refused.value), refused.value.message(Language.KM), repr(refused.value.params)):
        assert "1234" not in said


@given(st.text(min_size=1, max_size=8))
def test_every_label_can_be_written(label: str) -> None:
    """Any label, percent-encoded, comes out as it was."""
    written = "".join(f"%{octet:02X}" for octet in label.encode())
    assert parse_uri(f"pkcs11:token={written}{MODULE}").token == label


@given(st.text(max_size=60))
def test_nonsense_is_refused_with_the_same_error(text: str) -> None:
    """Whatever stands there, it is an address or KeyUriInvalid."""
    for uri in (text, f"pkcs11:{text}", f"pkcs11:token=a?{text}"):
        try:
            parse_uri(uri)
        except KeyUriInvalid:
            continue
