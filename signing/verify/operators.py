"""Who may sign trust bundles: numbered sets of operators, each handed over by the one before (as TUF hands over roots).

A set names operators by the SHA-256 of their self-signed certificates, and how many of them it takes. A bundle carries
the whole chain of sets; a relying party pins one of them and follows it to the newest:

    O1  the chain is canonical, numbered 1, 2, 3 … without gaps, dates not falling               BND-OPERATORS
    O2  each set is signed by as many of its own operators as it asks for                        BND-OPERATORS
    O3  each set but the first is also signed by as many of the set before as that one asked for BND-OPERATORS

So one stolen key of three signs nothing, and lost keys are replaced without a new pin. The threshold is the set's: a
bundle cannot say of itself that fewer would do. A bundle without a chain is that of the set of its one signer. (The
Update Framework 1.0.33 §5.3; only the idea is theirs.)
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

from foundation.canonical import canonical_json
from foundation.clock import parse_rfc3339, rfc3339
from signing.verify.cades import rebuild, sign_detached
from signing.verify.cms import DATA, CmsMalformed, check_message, read_message
from signing.verify.policy import STRICT

FORMAT = "camtrust-operators/1"
MOST_SETS, MOST_OPERATORS, MOST_SIGNATURES = 100, 20, 40
_KEYS = {"format", "version", "issued", "threshold", "operators"}


class OperatorsInvalid(ValueError):
    """A chain that does not hold."""


@dataclass(frozen=True)
class OperatorSet:
    """``operators``: SHA-256 of certificates, hex, sorted; ``issued`` aware, whole seconds."""

    version: int
    issued: datetime
    threshold: int
    operators: tuple[str, ...]

    @property
    def document(self) -> bytes:
        """What is signed: canonical JSON."""
        return canonical_json(
            {
                "format": FORMAT,
                "version": self.version,
                "issued": rfc3339(self.issued),
                "threshold": self.threshold,
                "operators": list(self.operators),
            }
        )

    @property
    def sha256(self) -> str:
        """What is pinned."""
        return hashlib.sha256(self.document).hexdigest()

    def enough(self, signers: Sequence[str]) -> bool:
        """Whether as many different operators are among these fingerprints as the set asks for."""
        return len(set(signers) & set(self.operators)) >= self.threshold


@dataclass(frozen=True)
class SignedSet:
    """A set and the detached CAdES signatures over its document, DER."""

    operators: OperatorSet
    signatures: tuple[bytes, ...]


def new_set(
    before: OperatorSet | None, certificates: Sequence[x509.Certificate], threshold: int, at: datetime
) -> OperatorSet:
    """The set that follows ``before``, or the first. Raises OperatorsInvalid for one that no reader would take."""
    made = OperatorSet(
        version=before.version + 1 if before else 1,
        issued=at.replace(microsecond=0),
        threshold=threshold,
        operators=tuple(sorted({one.fingerprint(hashes.SHA256()).hex() for one in certificates})),
    )
    if before is not None and made.issued < before.issued:
        raise OperatorsInvalid("it would be older than the set before it")
    return _checked(made)


def sign_set(one: SignedSet, key: CertificateIssuerPrivateKeyTypes, certificate: x509.Certificate) -> SignedSet:
    """The set with one more signature. ValueError for a key that is not the certificate's."""
    signature = sign_detached(one.operators.document, key, certificate, one.operators.issued)
    return SignedSet(one.operators, (*one.signatures, signature))


def write_chain(chain: Sequence[SignedSet]) -> bytes:
    """The file ``operators.json`` of a bundle: the same octets for the same chain."""
    return canonical_json(
        [
            {
                "set": json.loads(one.operators.document),
                "signatures": [base64.b64encode(signature).decode() for signature in one.signatures],
            }
            for one in chain
        ]
    )


def read_chain(octets: bytes) -> tuple[SignedSet, ...]:
    """O1 alone: a chain whose signatures were not looked at yet. Raises OperatorsInvalid."""
    try:
        value = json.loads(octets)
        if not isinstance(value, list) or not 1 <= len(value) <= MOST_SETS:
            raise OperatorsInvalid("not a chain")
        chain = tuple(_signed_set(one) for one in value)
        if write_chain(chain) != octets:
            raise OperatorsInvalid("not in the canonical form")
    except OperatorsInvalid:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise OperatorsInvalid("not a chain") from error
    for number, one in enumerate(chain, 1):
        if one.operators.version != number:
            raise OperatorsInvalid("a number is missing")
        if number > 1 and one.operators.issued < chain[number - 2].operators.issued:
            raise OperatorsInvalid("a set is older than the one before it")
    return chain


def verified_chain(octets: bytes) -> tuple[OperatorSet, ...]:
    """O1 to O3: the sets in their order. Raises OperatorsInvalid."""
    chain = read_chain(octets)
    sets = tuple(one.operators for one in chain)
    for number, one in enumerate(chain):
        signers = signers_of(one)
        if not one.operators.enough(signers):  # O2
            raise OperatorsInvalid("a set lacks signatures of its own")
        if number and not sets[number - 1].enough(signers):  # O3
            raise OperatorsInvalid("a set was not handed over")
    return sets


def pinned_chain(sets: Sequence[OperatorSet], pins: frozenset[str]) -> OperatorSet | None:
    """The newest set, where one of the pins is a set of the chain; None where none is.

    The pin of a certificate is that of the set of this one operator: what was pinned before there were sets holds on.
    """
    for one in sets:
        alone = one.threshold == 1 and len(one.operators) == 1 and one.operators[0] in pins
        if one.sha256 in pins or alone:
            return sets[-1]
    return None


def signers_of(one: SignedSet) -> tuple[str, ...]:
    """The fingerprints of those whose signatures over the set verify. Raises OperatorsInvalid for one that does not."""
    return tuple(_signer(one.operators, signature) for signature in one.signatures)


def _signer(operators: OperatorSet, signature: bytes) -> str:
    document = operators.document
    try:
        message = read_message(signature)
        check = check_message(message, lambda name: hashlib.new(name, document).digest(), DATA, STRICT)
        if check.reasons or check.signer is None or rebuild(message) != signature:
            raise OperatorsInvalid("a signature does not verify")
    except (CmsMalformed, ValueError) as error:
        raise OperatorsInvalid("a signature does not verify") from error
    if not check.signer.not_valid_before_utc <= operators.issued <= check.signer.not_valid_after_utc:
        raise OperatorsInvalid("a certificate was not valid then")
    return check.signer.fingerprint(hashes.SHA256()).hex()


def _signed_set(value: Any) -> SignedSet:
    if not isinstance(value, dict) or set(value) != {"set", "signatures"}:
        raise OperatorsInvalid("not a set")
    signatures = value["signatures"]
    if not isinstance(signatures, list) or len(signatures) > MOST_SIGNATURES:
        raise OperatorsInvalid("too many signatures")
    inner = value["set"]
    if not isinstance(inner, dict) or set(inner) != _KEYS or inner["format"] != FORMAT:
        raise OperatorsInvalid("not a set")
    if any(type(inner[key]) is not int for key in ("version", "threshold")):
        raise OperatorsInvalid("not a set")
    operators = OperatorSet(
        inner["version"], parse_rfc3339(inner["issued"]), inner["threshold"], tuple(inner["operators"])
    )
    return SignedSet(_checked(operators), tuple(base64.b64decode(one, validate=True) for one in signatures))


def _checked(one: OperatorSet) -> OperatorSet:
    names = one.operators
    hexadecimal = all(len(name) == 64 and set(name) <= set("0123456789abcdef") for name in names)
    if not hexadecimal or list(names) != sorted(set(names)) or not 1 <= len(names) <= MOST_OPERATORS:
        raise OperatorsInvalid("operators are named by SHA-256, each once, in order")
    if not 1 <= one.threshold <= len(names) or one.version < 1:
        raise OperatorsInvalid("the threshold is one to as many as there are")
    return one
