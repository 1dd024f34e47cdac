"""The specimen ceremony for tests: its folder, requests from outside keys, and a key store in memory.

The memory store stands in where a rule is tested; `test_root_with_token.py` runs the same acts on the real daemon.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.clock import SetClock
from foundation.keys.errors import KeyHandleInvalid, LabelExists
from foundation.keys.policy import KeyPolicy, policy_for
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyStore, KeyUse, Mechanism
from foundation.x509.csr import build_csr
from foundation.x509.names import subject_name
from root_ca.ceremonies import ISSUING_SUBJECT, OCSP_SUBJECT, TSA_SUBJECT, Act, Place, specimen_acts
from root_ca.ceremony_file import load_ceremony
from root_ca.service import Briefing, Outcome, perform

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 2, 3, 4, 5, tzinfo=UTC)
PLACE = Place("http://127.0.0.1:8440/ocsp", "http://127.0.0.1:8440/aia/root.cer", "http://127.0.0.1:8440/crl/root.crl")

_CURVES = {KeyAlgorithm.EC_P256: ec.SECP256R1(), KeyAlgorithm.EC_P384: ec.SECP384R1()}
_WHOLE = {Mechanism.ECDSA_SHA256: hashes.SHA256(), Mechanism.ECDSA_SHA384: hashes.SHA384()}
_BY_LENGTH = {32: hashes.SHA256(), 48: hashes.SHA384()}


def _make(algorithm: KeyAlgorithm) -> Any:
    if algorithm is KeyAlgorithm.RSA_4096:
        return rsa.generate_private_key(public_exponent=65537, key_size=4096)
    if algorithm is KeyAlgorithm.ML_DSA_87:
        return mldsa.MLDSA87PrivateKey.generate()
    return ec.generate_private_key(_CURVES[algorithm])


class MemoryKeyStore:
    """Implements `foundation.keys.port.KeyStore` for roots; ``signed`` counts, ``broken`` makes signing fail."""

    def __init__(self) -> None:
        self._keys: dict[str, tuple[KeyInfo, Any]] = {}
        self._numbers = itertools.count(1)
        self.signed: list[bytes] = []
        self.broken: Exception | None = None

    def generate(
        self,
        label: str,
        algorithm: KeyAlgorithm,
        use: KeyUse,
        owner: str | None = None,
        policy: KeyPolicy | None = None,
    ) -> KeyInfo:
        if self.find(label=label):
            raise LabelExists
        key: Any = _make(algorithm)
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        info = KeyInfo(
            f"key-{next(self._numbers)}", label, algorithm, use, public, owner, True, policy_for(use, policy).hash
        )
        self._keys[info.key_id] = (info, key)
        return info

    def find(
        self, *, label: str | None = None, use: KeyUse | None = None, owner: str | None = None
    ) -> tuple[KeyInfo, ...]:
        return tuple(
            info
            for info, _ in self._keys.values()
            if label in (None, info.label) and use in (None, info.use) and owner in (None, info.owner)
        )

    def get(self, key_id: str) -> KeyInfo:
        if key_id not in self._keys:
            raise KeyHandleInvalid
        return self._keys[key_id][0]

    def sign(
        self,
        key_id: str,
        mechanism: Mechanism,
        data: bytes,
        *,
        activation: bytes | None = None,
        content: bytes | None = None,
    ) -> bytes:
        assert activation is None
        assert content is None
        if self.broken is not None:
            raise self.broken
        info, key = self._keys[key_id]
        self.signed.append(data)
        if mechanism is Mechanism.SHA256_RSA_PKCS:
            return bytes(key.sign(data, padding.PKCS1v15(), hashes.SHA256()))
        if mechanism is Mechanism.ML_DSA:
            return bytes(key.sign(data))
        if mechanism is Mechanism.ECDSA:
            return bytes(key.sign(data, ec.ECDSA(Prehashed(_BY_LENGTH[len(data)]))))
        assert info.use.certifies
        return bytes(key.sign(data, ec.ECDSA(_WHOLE[mechanism])))

    def sign_many(
        self,
        key_id: str,
        mechanism: Mechanism,
        inputs: Sequence[bytes],
        *,
        activation: bytes | None = None,
        contents: Sequence[bytes] | None = None,
    ) -> list[bytes]:
        assert contents is None
        return [self.sign(key_id, mechanism, data, activation=activation) for data in inputs]

    def set_enabled(self, key_id: str, enabled: bool) -> None:
        info, key = self._keys[key_id]
        self._keys[key_id] = (replace(info, enabled=enabled), key)

    def destroy(self, key_id: str) -> None:
        del self._keys[key_id]


def prepare(folder: Path, begin: datetime = BEGIN) -> tuple[Act, ...]:
    """Write the five ceremony files and the requests of the CAs below into an empty folder."""
    acts = specimen_acts(begin, PLACE)
    for act in acts:
        (folder / act.file).write_text(act.text, encoding="utf-8")
    for name, subject, curve in (
        ("issuing", ISSUING_SUBJECT, ec.SECP384R1()),
        ("tsa", TSA_SUBJECT, ec.SECP256R1()),
        ("root-ocsp", OCSP_SUBJECT, ec.SECP256R1()),
    ):
        request = build_csr(subject_name(subject), ec.generate_private_key(curve))
        (folder / f"{name}.csr").write_bytes(request)
    return acts


def say(briefing: Briefing) -> str:
    """An officer who types the words of the briefing."""
    return " ".join(briefing.words)


def perform_file(path: Path, store: KeyStore, at: datetime = NOW) -> Outcome:
    return perform(load_ceremony(path), store, SetClock(at), say)


def perform_all(folder: Path, store: KeyStore, acts: tuple[Act, ...], at: datetime = NOW) -> None:
    for act in acts:
        perform_file(folder / act.file, store, at)
