"""The tables of the chip reader against others: OpenSSL's curves, the cryptographic library's generators, ISO 3166."""

from __future__ import annotations

from pathlib import Path

import iso3166
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ekyc.chip.countries import country_of
from ekyc.chip.curves import CURVES, IMPLEMENTED, NAMED, Curve, match_explicit
from ekyc.chip.der import SEQUENCE, single
from tests.programs import run

OPENSSL_NAMES = {"secp256r1": "prime256v1"}


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
@pytest.mark.parametrize("form", ["uncompressed", "compressed"])
def test_openssl_states_the_same_parameters(curve: Curve, form: str, tmp_path: Path) -> None:
    """What OpenSSL writes in full for each name is mapped back to that name."""
    target = tmp_path / "curve.der"
    run(
        "openssl",
        "ecparam",
        "-name",
        OPENSSL_NAMES.get(curve.name, curve.name),
        "-param_enc",
        "explicit",
        "-conv_form",
        form,
        "-outform",
        "DER",
        "-out",
        str(target),
    )
    assert match_explicit(single(target.read_bytes(), SEQUENCE)) == curve.name


@pytest.mark.parametrize("name", IMPLEMENTED)
def test_the_library_has_the_same_generator(name: str) -> None:
    """The public key of the private key 1 is the generator."""
    curve = next(one for one in CURVES if one.name == name)
    numbers = ec.derive_private_key(1, IMPLEMENTED[name]).public_key().public_numbers()
    assert (numbers.x, numbers.y) == (curve.x, curve.y)
    assert (curve.y**2 - curve.x**3 - curve.a * curve.x - curve.b) % curve.p == 0


def test_the_names_of_curves() -> None:
    """Every OID names a curve of the table."""
    assert set(NAMED.values()) == {curve.name for curve in CURVES}
    for identifier, name in NAMED.items():
        if name in IMPLEMENTED:
            assert ec.get_curve_for_oid(ec.ObjectIdentifier(identifier)) is type(IMPLEMENTED[name])


def test_countries_are_those_of_iso_3166() -> None:
    """All assigned codes, and Germany's one letter; what is not assigned is not guessed."""
    for one in iso3166.countries:
        if one.alpha3 != "XKX":
            assert country_of(one.alpha3) == one.alpha2
    assert country_of("D<<") == country_of("D") == country_of("DEU") == "DE"
    assert country_of("KHM") == "KH"
    for unknown in ("", "UTO", "XXX", "KH", "D<D"):
        assert country_of(unknown) is None
