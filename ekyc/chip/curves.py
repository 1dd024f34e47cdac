"""Elliptic curves by their parameters: an explicit-parameter key is mapped to the named curve, or refused.

Many document signers state their curve in full instead of by name. It is taken for the named one only when field
prime, both coefficients, generator, order and cofactor are all the same (ICAO 9303-12 §4.1.6 asks that all be there). A
known curve with another generator is the forgery of CVE-2020-0601: whoever chooses the generator knows a private key to
any public key.

Constants: secp224r1, secp256r1, secp384r1, secp521r1 from SEC 2 version 2.0 §2.5 to §2.8 (the P-curves of FIPS 186-4
D.1.2); brainpoolP…r1 from RFC 5639 §3.3 to §3.7. A test compares each with what OpenSSL states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from ekyc.chip.der import INTEGER, OCTET_STRING, OID, SEQUENCE, Fields, Malformed, Tlv

PRIME_FIELD = bytes.fromhex("06072a8648ce3d0101")  # 1.2.840.10045.1.1, X9.62


class CurveForged(Exception):
    """Field and coefficients of a known curve with another generator, order or cofactor."""


class CurveUnsupported(Exception):
    """A curve that is not in the table, or that the cryptographic library lacks; the argument is its name."""


@dataclass(frozen=True)
class Curve:
    """y² = x³ + ax + b over the integers modulo p; generator (x, y) of order n, cofactor h."""

    name: str
    p: int
    a: int
    b: int
    x: int
    y: int
    n: int
    h: int

    @property
    def octets(self) -> int:
        """Octets of a field element."""
        return (self.p.bit_length() + 7) // 8


def _hex(text: str) -> int:
    return int(text, 16)


CURVES: tuple[Curve, ...] = (
    Curve(
        "secp224r1",
        _hex("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF000000000000000000000001"),
        _hex("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFE"),
        _hex("B4050A850C04B3ABF54132565044B0B7D7BFD8BA270B39432355FFB4"),
        _hex("B70E0CBD6BB4BF7F321390B94A03C1D356C21122343280D6115C1D21"),
        _hex("BD376388B5F723FB4C22DFE6CD4375A05A07476444D5819985007E34"),
        _hex("FFFFFFFFFFFFFFFFFFFFFFFFFFFF16A2E0B8F03E13DD29455C5C2A3D"),
        1,
    ),
    Curve(
        "secp256r1",
        _hex("FFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF"),
        _hex("FFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFC"),
        _hex("5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B"),
        _hex("6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296"),
        _hex("4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5"),
        _hex("FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551"),
        1,
    ),
    Curve(
        "secp384r1",
        _hex("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFF0000000000000000FFFFFFFF"),
        _hex("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFF0000000000000000FFFFFFFC"),
        _hex("B3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF"),
        _hex("AA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7"),
        _hex("3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F"),
        _hex("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973"),
        1,
    ),
    Curve(
        "secp521r1",
        _hex(
            "1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
        ),
        _hex(
            "1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC"
        ),
        _hex(
            "51953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF"
            "073573DF883D2C34F1EF451FD46B503F00"
        ),
        _hex(
            "C6858E06B70404E9CD9E3ECB662395B4429C648139053FB521F828AF606B4D3DBAA14B5E77EFE75928FE1DC127A2FFA8"
            "DE3348B3C1856A429BF97E7E31C2E5BD66"
        ),
        _hex(
            "11839296A789A3BC0045C8A5FB42C7D1BD998F54449579B446817AFBD17273E662C97EE72995EF42640C550B9013FAD0"
            "761353C7086A272C24088BE94769FD16650"
        ),
        _hex(
            "1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA51868783BF2F966B7FCC0148F709A"
            "5D03BB5C9B8899C47AEBB6FB71E91386409"
        ),
        1,
    ),
    Curve(
        "brainpoolP224r1",
        _hex("D7C134AA264366862A18302575D1D787B09F075797DA89F57EC8C0FF"),
        _hex("68A5E62CA9CE6C1C299803A6C1530B514E182AD8B0042A59CAD29F43"),
        _hex("2580F63CCFE44138870713B1A92369E33E2135D266DBB372386C400B"),
        _hex("D9029AD2C7E5CF4340823B2A87DC68C9E4CE3174C1E6EFDEE12C07D"),
        _hex("58AA56F772C0726F24C6B89E4ECDAC24354B9E99CAA3F6D3761402CD"),
        _hex("D7C134AA264366862A18302575D0FB98D116BC4B6DDEBCA3A5A7939F"),
        1,
    ),
    Curve(
        "brainpoolP256r1",
        _hex("A9FB57DBA1EEA9BC3E660A909D838D726E3BF623D52620282013481D1F6E5377"),
        _hex("7D5A0975FC2C3057EEF67530417AFFE7FB8055C126DC5C6CE94A4B44F330B5D9"),
        _hex("26DC5C6CE94A4B44F330B5D9BBD77CBF958416295CF7E1CE6BCCDC18FF8C07B6"),
        _hex("8BD2AEB9CB7E57CB2C4B482FFC81B7AFB9DE27E1E3BD23C23A4453BD9ACE3262"),
        _hex("547EF835C3DAC4FD97F8461A14611DC9C27745132DED8E545C1D54C72F046997"),
        _hex("A9FB57DBA1EEA9BC3E660A909D838D718C397AA3B561A6F7901E0E82974856A7"),
        1,
    ),
    Curve(
        "brainpoolP320r1",
        _hex("D35E472036BC4FB7E13C785ED201E065F98FCFA6F6F40DEF4F92B9EC7893EC28FCD412B1F1B32E27"),
        _hex("3EE30B568FBAB0F883CCEBD46D3F3BB8A2A73513F5EB79DA66190EB085FFA9F492F375A97D860EB4"),
        _hex("520883949DFDBC42D3AD198640688A6FE13F41349554B49ACC31DCCD884539816F5EB4AC8FB1F1A6"),
        _hex("43BD7E9AFB53D8B85289BCC48EE5BFE6F20137D10A087EB6E7871E2A10A599C710AF8D0D39E20611"),
        _hex("14FDD05545EC1CC8AB4093247F77275E0743FFED117182EAA9C77877AAAC6AC7D35245D1692E8EE1"),
        _hex("D35E472036BC4FB7E13C785ED201E065F98FCFA5B68F12A32D482EC7EE8658E98691555B44C59311"),
        1,
    ),
    Curve(
        "brainpoolP384r1",
        _hex("8CB91E82A3386D280F5D6F7E50E641DF152F7109ED5456B412B1DA197FB71123ACD3A729901D1A71874700133107EC53"),
        _hex("7BC382C63D8C150C3C72080ACE05AFA0C2BEA28E4FB22787139165EFBA91F90F8AA5814A503AD4EB04A8C7DD22CE2826"),
        _hex("4A8C7DD22CE28268B39B55416F0447C2FB77DE107DCD2A62E880EA53EEB62D57CB4390295DBC9943AB78696FA504C11"),
        _hex("1D1C64F068CF45FFA2A63A81B7C13F6B8847A3E77EF14FE3DB7FCAFE0CBD10E8E826E03436D646AAEF87B2E247D4AF1E"),
        _hex("8ABE1D7520F9C2A45CB1EB8E95CFD55262B70B29FEEC5864E19C054FF99129280E4646217791811142820341263C5315"),
        _hex("8CB91E82A3386D280F5D6F7E50E641DF152F7109ED5456B31F166E6CAC0425A7CF3AB6AF6B7FC3103B883202E9046565"),
        1,
    ),
    Curve(
        "brainpoolP512r1",
        _hex(
            "AADD9DB8DBE9C48B3FD4E6AE33C9FC07CB308DB3B3C9D20ED6639CCA703308717D4D9B009BC66842AECDA12AE6A380E6"
            "2881FF2F2D82C68528AA6056583A48F3"
        ),
        _hex(
            "7830A3318B603B89E2327145AC234CC594CBDD8D3DF91610A83441CAEA9863BC2DED5D5AA8253AA10A2EF1C98B9AC8B5"
            "7F1117A72BF2C7B9E7C1AC4D77FC94CA"
        ),
        _hex(
            "3DF91610A83441CAEA9863BC2DED5D5AA8253AA10A2EF1C98B9AC8B57F1117A72BF2C7B9E7C1AC4D77FC94CADC083E67"
            "984050B75EBAE5DD2809BD638016F723"
        ),
        _hex(
            "81AEE4BDD82ED9645A21322E9C4C6A9385ED9F70B5D916C1B43B62EEF4D0098EFF3B1F78E2D0D48D50D1687B93B97D5F"
            "7C6D5047406A5E688B352209BCB9F822"
        ),
        _hex(
            "7DDE385D566332ECC0EABFA9CF7822FDF209F70024A57B1AA000C55B881F8111B2DCDE494A5F485E5BCA4BD88A2763AE"
            "D1CA2B2FA8F0540678CD1E0F3AD80892"
        ),
        _hex(
            "AADD9DB8DBE9C48B3FD4E6AE33C9FC07CB308DB3B3C9D20ED6639CCA70330870553E5C414CA92619418661197FAC1047"
            "1DB1D381085DDADDB58796829CA90069"
        ),
        1,
    ),
)

# What the cryptographic library computes with; the others of the table are known by name only.
IMPLEMENTED: Mapping[str, ec.EllipticCurve] = {
    "secp224r1": ec.SECP224R1(),
    "secp256r1": ec.SECP256R1(),
    "secp384r1": ec.SECP384R1(),
    "secp521r1": ec.SECP521R1(),
    "brainpoolP256r1": ec.BrainpoolP256R1(),
    "brainpoolP384r1": ec.BrainpoolP384R1(),
    "brainpoolP512r1": ec.BrainpoolP512R1(),
}

NAMED: Mapping[str, str] = {
    "1.3.132.0.33": "secp224r1",
    "1.2.840.10045.3.1.7": "secp256r1",
    "1.3.132.0.34": "secp384r1",
    "1.3.132.0.35": "secp521r1",
    "1.3.36.3.3.2.8.1.1.5": "brainpoolP224r1",
    "1.3.36.3.3.2.8.1.1.7": "brainpoolP256r1",
    "1.3.36.3.3.2.8.1.1.9": "brainpoolP320r1",
    "1.3.36.3.3.2.8.1.1.11": "brainpoolP384r1",
    "1.3.36.3.3.2.8.1.1.13": "brainpoolP512r1",
}


def implemented(name: str) -> ec.EllipticCurve:
    """The library's curve; raises CurveUnsupported."""
    curve = IMPLEMENTED.get(name)
    if curve is None:
        raise CurveUnsupported(name)
    return curve


def match_explicit(parameters: Tlv) -> str:
    """The name of the curve that SpecifiedECDomain (X9.62, SEC 1 §C.2) states in full.

    Raises CurveForged, CurveUnsupported, Malformed.
    """
    fields = Fields(parameters.content)
    version = fields.next(INTEGER).integer()
    field = Fields(fields.next(SEQUENCE).content)
    if field.next(OID).raw != PRIME_FIELD:
        raise CurveUnsupported("binary field")
    p = field.next(INTEGER).integer()
    field.end()
    coefficients = Fields(fields.next(SEQUENCE).content)
    a = int.from_bytes(coefficients.next(OCTET_STRING).content, "big")
    b = int.from_bytes(coefficients.next(OCTET_STRING).content, "big")
    generator = fields.next(OCTET_STRING).content
    n = fields.next(INTEGER).integer()
    cofactor = fields.optional(INTEGER)
    if version not in (1, 2, 3):
        raise Malformed("version of curve parameters")
    known = next((curve for curve in CURVES if (curve.p, curve.a, curve.b) == (p, a, b)), None)
    if known is None:
        raise CurveUnsupported("unknown parameters")
    if not _is_generator(known, generator) or n != known.n or cofactor is None or cofactor.integer() != known.h:
        raise CurveForged(known.name)
    return known.name


def _is_generator(curve: Curve, point: bytes) -> bool:
    """Uncompressed or compressed (SEC 1 §2.3.3), of exactly the field's length."""
    x = curve.x.to_bytes(curve.octets, "big")
    y = curve.y.to_bytes(curve.octets, "big")
    return point in (b"\x04" + x + y, bytes([2 + (curve.y & 1)]) + x)
