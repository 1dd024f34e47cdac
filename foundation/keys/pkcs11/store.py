"""The key store over a PKCS#11 token."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from pkcs11 import exceptions as ckr
from pkcs11.constants import Attribute, ObjectClass

from foundation.clock import Clock, SystemClock, rfc3339
from foundation.keys.capabilities import Capabilities
from foundation.keys.errors import (
    DataInvalid,
    KeyDisabled,
    KeyHandleInvalid,
    LabelExists,
    MechanismInvalid,
    PolicyUnsupported,
)
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import FAMILIES, SCHEMES, Family, hash_for, verify_signature
from foundation.keys.pkcs11 import records, sessions, signing
from foundation.keys.pkcs11.errors import ActivationUnsupported, KeyUnprotected
from foundation.keys.pkcs11.records import Record
from foundation.keys.pkcs11.refusals import WithoutPersons
from foundation.keys.pkcs11.sessions import Connection, TokenSession
from foundation.keys.pkcs11.uri import parse_uri
from foundation.keys.policy import DEFAULTS, KeyPolicy
from foundation.keys.port import MOST_INPUTS, KeyAlgorithm, KeyInfo, KeyUse, Mechanism
from foundation.randomness import Randomness, SystemRandomness

_log = logging.getLogger("camtrust.pkcs11")

_KEY_ID = re.compile(r"[0-9a-f]{32}")
_TRIAL = b"CamTrust: the two halves of a new key pair belong together"
_TRIAL_BY = {
    Family.ECDSA: Mechanism.ECDSA_SHA256,
    Family.RSA_PKCS1: Mechanism.SHA256_RSA_PKCS,
    Family.EDDSA: Mechanism.EDDSA,
}


@dataclass
class _Found:
    """A key through one session: its handles in the token, and what stays true of it."""

    record: Record
    private: Any
    public: CertificateIssuerPublicKeyTypes
    marker: Any = None  # the object that says that the key is enabled, where it was seen


class Pkcs11KeyStore(WithoutPersons):
    """`foundation.keys.port.KeyStore` over any PKCS#11 module. Threads and forked processes share it.

    Private keys are made in the token: sensitive, never extractable, signing only; each is tried once before it is
    given out. Every signature is verified before it is given out. Keys of the token that were not made here are left
    alone: they are not found, and their labels are taken.

    What a token of this kind cannot do is in :meth:`capabilities`. Keys that need an owner's activation are refused
    (ActivationUnsupported). A label is used once among the processes of one machine; PKCS#11 gives no such promise
    to two machines that share a token.
    """

    def __init__(
        self, connection: Connection, capabilities: Capabilities, clock: Clock, randomness: Randomness
    ) -> None:
        self._connection = connection
        self._capabilities = capabilities
        self._clock = clock
        self._randomness = randomness
        self._closed = False

    def __enter__(self) -> Pkcs11KeyStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the token; the last who leaves logs out. Later calls raise NotLoggedIn."""
        if not self._closed:
            self._closed = True
            sessions.disconnect(self._connection)

    def capabilities(self) -> Capabilities:
        """What this token can do, and what it cannot."""
        return self._capabilities

    def generate(
        self,
        label: str,
        algorithm: KeyAlgorithm,
        use: KeyUse,
        owner: str | None = None,
        policy: KeyPolicy | None = None,
    ) -> KeyInfo:
        """Make a key pair inside.

        Raises LabelExists; MechanismInvalid for an algorithm that the token lacks; DataInvalid for a label or owner
        that cannot be one, for a key that needs activation and has no owner, and for one that certifies and has one;
        ActivationUnsupported; PolicyUnsupported for any policy but the default, which is recorded and not enforced;
        KeyUnprotected when the token made a key that could leave it (it is destroyed again).
        """
        _check_names(label, owner)
        if (use.needs_activation and owner is None) or (use.certifies and owner is not None):
            raise DataInvalid
        if use.needs_activation:
            raise ActivationUnsupported
        if policy is not None:
            raise PolicyUnsupported
        if algorithm not in self._capabilities.algorithms:
            raise MechanismInvalid

        def work(session: TokenSession) -> KeyInfo:
            if session.search({**_PRIVATE_KEYS, Attribute.LABEL: label}):
                raise LabelExists
            return self._make(session, label, algorithm, use, owner)

        return self._connection.run(work, writes=True, repeat=False)

    def find(
        self, *, label: str | None = None, use: KeyUse | None = None, owner: str | None = None
    ) -> tuple[KeyInfo, ...]:
        """The keys that match every argument given, oldest first. Reads the record of every key in the token."""

        def work(session: TokenSession) -> list[tuple[Record, bool]]:
            written = session.values(records.template(records.KEY), Attribute.VALUE)
            enabled = set(session.values(records.template(records.ENABLED), Attribute.LABEL))
            there = {bytes(identifier).hex() for identifier in session.values(_PRIVATE_KEYS, Attribute.ID)}
            found = []
            for data in written:
                with suppress(KeyHandleInvalid):  # not ours
                    record = records.read(bytes(data))
                    if record.key_id in there:
                        found.append((record, record.key_id in enabled))
            return found

        wanted = {"label": label, "use": use, "owner": owner}
        matching = [
            (record, enabled)
            for record, enabled in self._connection.run(work)
            if all(value is None or getattr(record, name) == value for name, value in wanted.items())
        ]
        matching.sort(key=lambda one: (one[0].made, one[0].key_id))
        return tuple(record.info(enabled) for record, enabled in matching)

    def get(self, key_id: str) -> KeyInfo:
        """One key; KeyHandleInvalid where there is none."""

        def work(session: TokenSession) -> KeyInfo:
            found = self._look_up(session, key_id)
            return found.record.info(found.marker is not None)

        return self._connection.run(work)

    def sign(
        self,
        key_id: str,
        mechanism: Mechanism,
        data: bytes,
        *,
        activation: bytes | None = None,
        content: bytes | None = None,
    ) -> bytes:
        """Sign the whole message or the digest, as the mechanism says, and verify.

        Raises KeyHandleInvalid, KeyDisabled, MechanismInvalid (another family; a digest for a key that certifies; what
        the token lacks), DataInvalid, ActivationUnsupported, SignatureInvalid. ``content`` is not looked at: a PKCS#11
        token enforces no policy.
        """
        contents = None if content is None else [content]
        return self.sign_many(key_id, mechanism, [data], activation=activation, contents=contents)[0]

    def sign_many(
        self,
        key_id: str,
        mechanism: Mechanism,
        inputs: Sequence[bytes],
        *,
        activation: bytes | None = None,
        contents: Sequence[bytes] | None = None,
    ) -> list[bytes]:
        """The same for each input, in one session of the token; DataInvalid for none or more than MOST_INPUTS."""
        if activation is not None:
            raise ActivationUnsupported  # whoever sends one believes that it is checked
        if not 1 <= len(inputs) <= MOST_INPUTS or (contents is not None and len(contents) != len(inputs)):
            raise DataInvalid

        def work(session: TokenSession) -> tuple[CertificateIssuerPublicKeyTypes, list[bytes]]:
            found: _Found | None = session.known.get(key_id)
            if found is None or not _is_enabled(session, found):
                found = self._look_up(session, key_id)  # which tells a key that is disabled from one that is gone
            if found.marker is None:
                raise KeyDisabled
            for data in inputs:
                _permit(found.record, mechanism, data)
            return found.public, [signing.sign(found.private, mechanism, data, self._capabilities) for data in inputs]

        public, signatures = self._connection.run(work)
        for data, signature in zip(inputs, signatures, strict=True):
            verify_signature(public, mechanism, signature, data)
        return signatures

    def set_enabled(self, key_id: str, enabled: bool) -> None:
        """Disable a key whose certificate is suspended or revoked, or enable it again; at once for every process."""

        def work(session: TokenSession) -> None:
            self._look_up(session, key_id)
            markers = session.search(records.template(records.ENABLED, key_id))
            if enabled and not markers:
                session.raw.create_object(records.data_object(records.ENABLED, key_id, b"1"))
            if not enabled:
                _destroy(markers)

        self._connection.run(work, writes=True)

    def destroy(self, key_id: str) -> None:
        """Destroy a key for good: the private half first, then what tells of it."""

        def work(session: TokenSession) -> None:
            found = self._look_up(session, key_id)
            session.known.pop(key_id, None)
            found.private.destroy()
            public = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.ID: bytes.fromhex(key_id)}
            for template in (public, *(records.template(one, key_id) for one in (records.ENABLED, records.KEY))):
                _destroy(session.search(template))

        self._connection.run(work, writes=True, repeat=False)

    def _make(
        self, session: TokenSession, label: str, algorithm: KeyAlgorithm, use: KeyUse, owner: str | None
    ) -> KeyInfo:
        identifier = self._randomness.bytes(16)
        key_id = identifier.hex()
        public, private = signing.generate_pair(session.raw, algorithm, identifier, label)
        made = [private, public]
        try:
            if not signing.is_protected(private):
                raise KeyUnprotected
            record = Record(
                *(key_id, label, algorithm, use, owner),
                signing.public_key_of(public, algorithm),
                rfc3339(self._clock.now()),
                DEFAULTS[use].hash,
            )
            info = record.info(True)
            self._try(private, info)
            made.append(session.raw.create_object(records.data_object(records.KEY, key_id, records.written(record))))
            made.append(session.raw.create_object(records.data_object(records.ENABLED, key_id, b"1")))
        except BaseException:
            for one in made:
                with suppress(ckr.PKCS11Error):
                    one.destroy()
            raise
        return info

    def _try(self, private: Any, info: KeyInfo) -> None:
        """Sign once and verify: the halves belong together (what FIPS 140-3 calls a pair-wise consistency test)."""
        mechanism = next(by for family, by in _TRIAL_BY.items() if family in FAMILIES[info.algorithm])
        signature = signing.sign(private, mechanism, _TRIAL, self._capabilities)
        verify_signature(public_key(info), mechanism, signature, _TRIAL)

    def _look_up(self, session: TokenSession, key_id: str) -> _Found:
        """Find a key in the token, as it is now. KeyHandleInvalid, also when its record is not as we write it."""
        session.known.pop(key_id, None)
        if not _KEY_ID.fullmatch(key_id):
            raise KeyHandleInvalid
        private = session.search({**_PRIVATE_KEYS, Attribute.ID: bytes.fromhex(key_id)})
        data = session.values(records.template(records.KEY, key_id), Attribute.VALUE)
        if len(private) != 1 or len(data) != 1:
            raise KeyHandleInvalid
        record = records.read(bytes(data[0]))
        if record.key_id != key_id:
            raise KeyHandleInvalid
        if not signing.is_protected(private[0]):
            raise KeyUnprotected  # somebody put a key there that was made elsewhere, or could leave
        found = _Found(record, private[0], public_key(record.info(True)))
        _is_enabled(session, found)
        session.known[key_id] = found
        return found


_PRIVATE_KEYS = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.TOKEN: True}


def open_store(uri: str, pin: str, clock: Clock | None, randomness: Randomness | None) -> Pkcs11KeyStore:
    """See :func:`foundation.keys.pkcs11.open_pkcs11`."""
    address = parse_uri(uri)
    connection = sessions.connect(address, pin)
    try:
        found = connection.run(lambda session: signing.capabilities_of(session.raw.token))
    except BaseException:
        sessions.disconnect(connection)
        raise
    _log.info("logged in to the token %s; sees whole messages: %s", address.token, found.sees_message)
    return Pkcs11KeyStore(connection, found, clock or SystemClock(), randomness or SystemRandomness())


def _permit(record: Record, mechanism: Mechanism, data: bytes) -> None:
    scheme = SCHEMES[mechanism]
    if scheme.family not in FAMILIES[record.algorithm] or (record.use.certifies and scheme.takes_digest):
        raise MechanismInvalid
    if scheme.takes_digest:
        hash_for(mechanism, data)
    if record.use.needs_activation:
        raise ActivationUnsupported


def _is_enabled(session: TokenSession, found: _Found) -> bool:
    """Whether the marker is there now. Another process may have destroyed it, or made another one."""
    if found.marker is not None:
        with suppress(*sessions.GONE):
            if found.marker[Attribute.LABEL] == found.record.key_id:
                return True
    markers = session.search(records.template(records.ENABLED, found.record.key_id))
    found.marker = markers[0] if markers else None
    return found.marker is not None


def _destroy(objects: list[Any]) -> None:
    for one in objects:
        with suppress(*sessions.GONE):
            one.destroy()


def _check_names(label: str, owner: str | None) -> None:
    """A label: 1 to 200 printable characters. An owner: 1 to 128 printable ASCII characters without a space."""
    if not 0 < len(label) <= 200 or not label.isprintable():
        raise DataInvalid
    if owner is not None and not (0 < len(owner) <= 128 and all("!" <= sign <= "~" for sign in owner)):
        raise DataInvalid
