"""Active authentication: the chip signs a challenge of ours with a key that never leaves it (ICAO 9303-11 §6.1).

The key is in DG15. ECDSA: the hash is in the security information of DG14. RSA: ISO/IEC 9796-2 scheme 1, which names
its hash itself (:mod:`ekyc.chip.message_recovery`). A right answer by SHA-1 or by an RSA key under 2048 bits is WEAK:
it is no reason to refuse, it proves no possession, and the cap stays.

A challenge is single use. Nothing here remembers it: the caller draws it from a secure source, stores it before it is
sent, and takes it out of the store *before* calling :func:`prove_possession`, whatever the result. An answer to a
challenge that is not in the store is not to be brought here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from ekyc.chip.curves import CurveForged, CurveUnsupported
from ekyc.chip.der import INTEGER, OID, SEQUENCE, SET, Fields, Malformed, check_bounds, single
from ekyc.chip.lds import TAGS
from ekyc.chip.message_recovery import verify_recovered
from ekyc.chip.signatures import AlgorithmUnsupported, SignatureAlgorithm, oid, read_public_key, verify
from ekyc.chip.verdict import ChipOutcome, ChipVerdict, Proof, Rule, Standing, Step, with_possession
from foundation.x509.signature_check import Scheme

NONCE_OCTETS = 8  # RND.IFD
_AA_PROTOCOL = "2.23.136.1.1.5"
# BSI TR-03111 §5.2.1.1: r and s beside each other. SHA-1 proves nothing any more.
_PLAIN: Mapping[str, str] = {
    "0.4.0.127.0.7.1.1.4.1.2": "sha224",
    "0.4.0.127.0.7.1.1.4.1.3": "sha256",
    "0.4.0.127.0.7.1.1.4.1.4": "sha384",
    "0.4.0.127.0.7.1.1.4.1.5": "sha512",
}


@dataclass(frozen=True)
class Challenge:
    """A nonce that the server drew (eight octets, ValueError otherwise), good before ``expires_at``."""

    nonce: bytes
    expires_at: datetime

    def __post_init__(self) -> None:
        if len(self.nonce) != NONCE_OCTETS or self.expires_at.tzinfo is None:
            raise ValueError("a challenge has eight octets and a time with a zone")


def prove_possession(verdict: ChipVerdict, challenge: Challenge, response: bytes, at: datetime) -> ChipVerdict:
    """The verdict with the chip's answer judged. ``verdict`` comes from :func:`ekyc.chip.authenticate`.

    The key must be in files whose hashes are signed: a verdict that FAILED or is UNSUPPORTED has none and is returned
    as it is. A wrong or late answer makes it FAILED: the files were copied, or the answer was. No key, or one that
    cannot be computed with, leaves outcome and cap as they are.
    """
    if verdict.outcome in (ChipOutcome.FAILED, ChipOutcome.UNSUPPORTED):
        return verdict
    return with_possession(verdict, _judge(verdict.groups, challenge, response, at), Proof.ACTIVE_AUTHENTICATION)


def _judge(groups: Mapping[int, bytes], challenge: Challenge, response: bytes, at: datetime) -> Step:
    if at >= challenge.expires_at:
        return Step(Rule.POSSESSION, Standing.FAILED, "too late")
    try:
        if 15 not in groups:
            return Step(Rule.POSSESSION, Standing.UNSUPPORTED, "no key in the chip")
        check_bounds(groups[15])
        key = read_public_key(single(groups[15], TAGS[15]).content)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            weak = verify_recovered(key, response, challenge.nonce)
            return Step(Rule.POSSESSION, Standing.WEAK if weak else Standing.HOLDS, " ".join(weak))
        algorithm = SignatureAlgorithm(Scheme.ECDSA, _hash_name(groups))
        half = (key.curve.key_size + 7) // 8
        if len(response) != 2 * half:
            return Step(Rule.POSSESSION, Standing.FAILED, "response")
        r, s = int.from_bytes(response[:half], "big"), int.from_bytes(response[half:], "big")
        holds = verify(key, algorithm, encode_dss_signature(r, s), challenge.nonce)
    except CurveForged as error:
        return Step(Rule.POSSESSION, Standing.FAILED, f"explicit-curve forgery: {error}")
    except (AlgorithmUnsupported, CurveUnsupported) as error:
        return Step(Rule.POSSESSION, Standing.UNSUPPORTED, str(error)[:80])
    except Malformed as error:
        return Step(Rule.POSSESSION, Standing.FAILED, str(error)[:80])
    return Step(Rule.POSSESSION, Standing.HOLDS if holds else Standing.FAILED, "" if holds else "response")


def _hash_name(groups: Mapping[int, bytes]) -> str:
    """The hash that ActiveAuthenticationInfo in DG14 names (ICAO 9303-11 §9.2.4)."""
    if 14 not in groups:
        raise AlgorithmUnsupported("no security information")
    check_bounds(groups[14])
    for element in Fields(single(single(groups[14], TAGS[14]).content, SET).content).all(SEQUENCE, limit=64):
        fields = Fields(element.content)
        if oid(fields.next(OID).raw) != _AA_PROTOCOL:
            continue
        if fields.next(INTEGER).integer() != 1:
            raise AlgorithmUnsupported("version of active authentication")
        identifier = oid(fields.next(OID).raw)
        fields.end()
        if identifier not in _PLAIN:
            raise AlgorithmUnsupported(f"active authentication {identifier}")
        return _PLAIN[identifier]
    raise AlgorithmUnsupported("no security information")
