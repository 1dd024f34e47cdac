"""Public keys that must not be certified, each made so that one check alone stands in its way."""

from __future__ import annotations

import hashlib
import math
import random
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.x509.errors import CsrInvalid
from issuing_ca.errors import KeyInUse, KeyRefused, WeakKeysInvalid
from issuing_ca.key_checks import check_public_key
from issuing_ca.model import Reason
from issuing_ca.weak_keys import WeakKeys
from tests import programs
from tests.ca.ca_world import OPERATOR, World

OFFICER = (("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Officer 1"))
CHANCE = random.Random(20261126)  # noqa: S311 - the same keys each time
SMALL = math.prod(n for n in range(2, 702) if all(n % d for d in range(2, math.isqrt(n) + 1)))


def is_prime(number: int) -> bool:
    """Miller and Rabin, with bases that never change."""
    if math.gcd(number, SMALL) != 1:
        return False
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7, 11, 13, 17):
        value = pow(base, odd, number)
        if value in (1, number - 1):
            continue
        for _ in range(twos - 1):
            value = value * value % number
            if value == number - 1:
                break
        else:
            return False
    return True


def next_prime(start: int, step: int = 2) -> int:
    while not is_prime(start):
        start += step
    return start


def rsa_key(modulus: int, exponent: int = 65537) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def prime(bits: int) -> int:
    """Half of a key that the library makes: much faster than a search of ours."""
    if bits in (512, 1024):
        return rsa.generate_private_key(65537, 2 * bits).private_numbers().p
    return next_prime(CHANCE.getrandbits(bits) | 3 << bits - 2 | 1)


def roca_prime(bits: int) -> int:
    """A prime as the broken generator made it: k M + (65537^a mod M), M the product of the first primes."""
    base = pow(65537, CHANCE.getrandbits(60), SMALL)
    room = 1 << bits - SMALL.bit_length() - 1
    while True:
        candidate = (room + CHANCE.randrange(room)) * SMALL + base
        if candidate.bit_length() == bits and is_prime(candidate):
            return candidate


def refused(key: object) -> str:
    with pytest.raises(KeyRefused) as error:
        check_public_key(key)
    return str(error.value.params["rule"])


def test_good_keys_pass() -> None:
    """RSA of the library, P-256, P-384, and a modulus of two primes that are far apart."""
    check_public_key(rsa.generate_private_key(65537, 2048).public_key())
    check_public_key(rsa_key(prime(1024) * prime(1024)))
    for curve in (ec.SECP256R1(), ec.SECP384R1()):
        check_public_key(ec.generate_private_key(curve).public_key())


def test_a_roca_key() -> None:
    """A modulus with primes of the broken generator, which passes every other check."""
    modulus = roca_prime(1024) * roca_prime(1024)
    assert 2047 <= modulus.bit_length() <= 2048
    if modulus.bit_length() == 2047:
        modulus = roca_prime(1025) * roca_prime(1024)
    assert refused(rsa_key(modulus)) == "KEY-RSA-ROCA"


def test_close_primes() -> None:
    """Two primes next to each other: Fermat factors the modulus at once."""
    first = prime(1024)
    assert refused(rsa_key(first * next_prime(first + 2))) == "KEY-RSA-FERMAT"


def test_a_small_factor_and_a_square() -> None:
    """A factor below 752; twice the same prime."""
    assert refused(rsa_key(prime(1040) * prime(1000) * 751)) == "KEY-RSA-FACTOR"
    square = prime(1024) ** 2
    assert refused(rsa_key(square)) == "KEY-RSA-FERMAT"


@pytest.mark.parametrize("exponent", [3, 17, 65535, (1 << 257) + 1])
def test_exponents(exponent: int) -> None:
    """Small ones, and one that is too long."""
    assert refused(rsa_key(prime(1024) * prime(1024), exponent)) == "KEY-RSA-EXPONENT"


def test_sizes_and_kinds() -> None:
    """RSA with 1024 and 2056 bits, a curve and an algorithm that are not certified."""
    assert refused(rsa_key(prime(512) * prime(512))) == "KEY-RSA-SIZE"
    assert refused(rsa_key(prime(1028) * prime(1028))) == "KEY-ALGORITHM"
    assert refused(ec.generate_private_key(ec.SECP256K1()).public_key()) == "KEY-ALGORITHM"
    assert refused(ed448.Ed448PrivateKey.generate().public_key()) == "KEY-ALGORITHM"


def test_the_octets_beside_a_key_are_of_that_key() -> None:
    """What would go into the certificate is refused where it is another key, or the same written in another way."""
    for one, other in (
        (ec.generate_private_key(ec.SECP256R1()) for _ in range(2)),
        (rsa.generate_private_key(65537, 2048) for _ in range(2)),
    ):
        key, octets = one.public_key(), encoded(one.public_key())
        check_public_key(key, octets)
        for wrong in (encoded(other.public_key()), octets[:-1], octets + b"\x00", b""):
            with pytest.raises(KeyRefused) as refused:
                check_public_key(key, wrong)
            assert refused.value.params["rule"] == "KEY-ENCODING"


def encoded(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_a_point_off_its_curve_is_no_request(small_world: World) -> None:
    """A CSR whose point is not on the curve, and one whose signature is another key's, prove nothing."""
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    der = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    point = key.public_key().public_numbers().y.to_bytes(32, "big")
    foreign = other.public_key().public_numbers().y.to_bytes(32, "big")
    assert point in der
    for forged in (der.replace(point, bytes(31) + b"\1"), der.replace(point, foreign)):
        with pytest.raises(CsrInvalid):
            small_world.ca.issue_for_request("officer", forged, OFFICER, "officer-1", OPERATOR)


def test_keys_seen_before_and_compromised_ones(world: World) -> None:
    """Another owner's key; and a key whose certificate was revoked for compromise, for its owner too, for ever."""
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = csr.public_bytes(Encoding.PEM)
    first = world.ca.issue_for_request("officer", pem, OFFICER, "officer-1", OPERATOR)
    with pytest.raises(KeyInUse):
        world.ca.issue_for_request("officer", pem, OFFICER, "officer-2", OPERATOR)
    world.ca.issue_for_request("officer", pem, OFFICER, "officer-1", OPERATOR)
    world.ca.revoke(first.serial, Reason.KEY_COMPROMISE, OPERATOR)
    with pytest.raises(KeyInUse):
        world.ca.issue_for_request("officer", pem, OFFICER, "officer-1", OPERATOR)


def listed(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / "weak.txt"
    file.write_text("\n".join(("# weak keys of a test", "", *lines)), encoding="ascii")
    return file


def test_keys_of_the_operators_list(small_world: World, tmp_path: Path) -> None:
    """By the SHA-256 of the key, and as Debian's blacklists have RSA keys, whose digest openssl makes here: refused
    where a certificate is issued; the next key is taken."""
    curve = ec.generate_private_key(ec.SECP256R1())
    weak, good = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    spki = curve.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = weak.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    modulus = programs.run("openssl", "rsa", "-pubin", "-noout", "-modulus", input=pem, text=False).stdout
    printed = programs.run("openssl", "dgst", "-sha1", "-r", input=modulus, text=False).stdout.decode()
    entry = printed.split()[0][20:]
    file = listed(tmp_path, hashlib.sha256(spki).hexdigest().upper(), entry)
    ca = small_world.again(small_world.ca.settings.model_copy(update={"weak_keys_file": file}))

    def issue(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        ca.issue_for_request("officer", request.public_bytes(Encoding.PEM), OFFICER, "officer-1", OPERATOR)

    for key in (curve, weak):
        with pytest.raises(KeyRefused) as caught:
            issue(key)
        assert caught.value.params["rule"] == "KEY-LISTED"
    WeakKeys.read(file).check(good.public_key())
    issue(ec.generate_private_key(ec.SECP256R1()))
    assert WeakKeys.read(None) == WeakKeys()


@pytest.mark.parametrize("line", ["nonsense", "ab" * 31, "ab" * 20, "zz" * 32, "ab" * 32 + " x"])
def test_a_list_that_cannot_be_read_starts_nothing(small_world: World, tmp_path: Path, line: str) -> None:
    """A line that is neither, and a file that is not there: the CA does not start without its list."""
    for file in (listed(tmp_path, line), tmp_path / "nowhere"):
        with pytest.raises(WeakKeysInvalid):
            small_world.again(small_world.ca.settings.model_copy(update={"weak_keys_file": file}))
