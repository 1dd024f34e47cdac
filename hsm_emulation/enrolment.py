"""A person's factors: enrolling the first ones, changing them, losing them all.

The first factors are taken as the services bring them (the person was identified by them just then). From then on a
change is an approval like that of a signature: by a factor that the person has, over data that names the change. When
all are lost, the person's keys are destroyed with them: whoever enrols anew cannot sign with what was before.
"""

from __future__ import annotations

import hashlib
import sqlite3
from base64 import b32encode
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from foundation.clock import Clock
from foundation.keys.activation import ChangeData, Method, PinTotp, PresenceData, Proof
from foundation.keys.errors import (
    ActivationInvalid,
    DataInvalid,
    FactorsEnrolled,
    FactorsNotEnrolled,
    LastFactor,
    PasskeysUnavailable,
    PinIncorrect,
)
from foundation.keys.factors import (
    ApprovalRequest,
    ChangeKind,
    ChangeRequest,
    FactorChange,
    FactorsOf,
    RegisteredPasskey,
)
from foundation.keys.port import TotpEnrolment
from foundation.randomness import Randomness
from hsm_emulation.audit import AuditLog
from hsm_emulation.factors import (
    Passkey,
    Record,
    check_pin,
    judge_code,
    with_card,
    with_hotp,
    with_pin,
    with_seed,
)
from hsm_emulation.one_time_codes import Code, new_card
from hsm_emulation.passkeys import (
    RelyingParty,
    assertion_options,
    challenge_of,
    registration_options,
    verify_registration,
)
from hsm_emulation.persons import Persons
from hsm_emulation.proofs import Edit, Proofs
from hsm_emulation.requests import Requests
from hsm_emulation.sealing import SALT_LENGTH, seal, unseal
from hsm_emulation.sessions import Session
from hsm_emulation.store import Store

_SEED_LENGTH = 20
_REGISTER, _CHANGE, _PRESENCE = "register-passkey", "change-factor", "be-present"
_PARTY = "relying_party"
_DEVICES = "service:otp-devices"  # the person key under which seeds of devices are sealed that nobody has yet


class FactorEnrolment:
    """Persons' factors (`foundation.keys.factors.PersonFactors`, but for activations)."""

    def __init__(
        self,
        store: Store,
        persons: Persons,
        proofs: Proofs,
        requests: Requests,
        audit: AuditLog,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._store, self._persons, self._proofs, self._requests = store, persons, proofs, requests
        self._audit, self._clock, self._randomness = audit, clock, randomness

    # -- the first factors

    def enrol(self, session: Session, owner: str, pin: str) -> TotpEnrolment:
        """Set the PIN and make a seed, pending until :meth:`confirm`. FactorsEnrolled, PinInvalid, OwnerDestroyed."""
        seed = self._new_seed()
        record = self._pending(session, owner, pin, lambda record, _key: with_seed(record, seed))
        return TotpEnrolment(record.provisioning_uri(owner))

    def enrol_card(self, session: Session, owner: str, pin: str) -> tuple[str, ...]:
        """Set the PIN and make the codes of a card, given once; pending until one of them confirms it. As `enrol`."""
        codes = new_card(self._randomness)
        self._pending(session, owner, pin, lambda record, key: with_card(record, codes, key))
        return codes

    def enrol_device(self, session: Session, owner: str, pin: str, serial: str, sealed: bytes) -> None:
        """Set the PIN and take an HOTP device, whose seed :meth:`seal_device` gave; pending until a code confirms it.

        As `enrol`; WrappedKeyInvalid where the seed is not that of this serial number.
        """
        seed = b32encode(unseal(self._persons.key(_DEVICES), sealed, _device(serial))).decode()
        self._pending(session, owner, pin, lambda record, _key: with_hotp(record, seed))

    def seal_device(self, session: Session, serial: str, seed: bytes) -> bytes:
        """What the services keep of an HOTP device until somebody has it: its seed, sealed for this token. DataInvalid.

        Whoever brings the seed knows it; from then on the token alone does.
        """
        if not 16 <= len(seed) <= 64:  # RFC 4226 §4, R6
            raise DataInvalid
        sealed = seal(self._persons.key(_DEVICES), seed, _device(serial), self._randomness)
        self._note(session, "seal-device", serial, "done")
        return sealed

    def _pending(self, session: Session, owner: str, pin: str, with_codes: Callable[[Record, bytes], Record]) -> Record:
        check_pin(pin)
        key = self._persons.key(owner)
        if self._persons.has_factors(owner):
            raise FactorsEnrolled
        self._note(session, "enrol", owner, "intent")
        salt = self._randomness.bytes(SALT_LENGTH)
        record = with_codes(with_pin(Record(), pin, salt, self._proofs.cost, key), key)

        def work(connection: sqlite3.Connection) -> None:
            self._first(connection, owner)
            self._proofs.write(connection, owner, record)
            self._audit.append(connection, session.actor, "enrol", owner, "done", {"codes": record.generator.value})

        self._store.write(work)
        return record

    def confirm(self, session: Session, owner: str, totp: str) -> None:
        """Prove that the authenticator holds the seed. PinIncorrect, PinLocked, FactorsNotEnrolled, FactorsEnrolled."""

        def done(connection: sqlite3.Connection, key: bytes) -> None:
            self._persons.mark_factors(connection, owner, key)
            self._audit.append(connection, session.actor, "confirm", owner, "done")

        self._proofs.confirm(owner, totp, done)

    def check(self, session: Session, owner: str, pin: str, totp: str) -> None:
        """Check PIN and code. PinIncorrect, PinLocked, CodeUsed, FactorsNotEnrolled."""
        self._proofs.prove(
            owner,
            PinTotp(pin, totp),
            b"",
            lambda connection: self._audit.append(connection, session.actor, "check", owner, "done"),
        )

    def begin_passkey(self, session: Session, owner: str) -> str:
        """What to ask the person's device for a new passkey. PasskeysUnavailable, OwnerDestroyed."""
        self._persons.key(owner)
        challenge, expires = self._requests.new()
        options = registration_options(self._party(), owner, self._proofs.record(owner), challenge)

        def work(connection: sqlite3.Connection) -> None:
            self._requests.put(connection, owner, challenge, expires, {"act": _REGISTER})
            self._audit.append(connection, session.actor, "begin-passkey", owner, "done")

        self._store.write(work)
        return options

    def finish_passkey(self, session: Session, owner: str, response: str) -> None:
        """Register the person's first factor. FactorsEnrolled when there is one; ActivationInvalid, PasskeyInvalid."""
        passkey, challenge = self._registered(owner, response)
        key = self._persons.key(owner)
        self._note(session, "finish-passkey", owner, "intent", _named(passkey))

        def work(connection: sqlite3.Connection) -> None:
            self._first(connection, owner)
            self._requests.take(connection, challenge)
            self._proofs.write(connection, owner, Record(passkeys=(passkey,)))
            self._persons.mark_factors(connection, owner, key)
            self._audit.append(connection, session.actor, "finish-passkey", owner, "done", _named(passkey))

        self._store.write(work)

    def factors_of(self, owner: str) -> FactorsOf:
        """What the person has."""
        record = self._proofs.record(owner) or Record()
        passkeys = tuple(RegisteredPasskey(one.credential_id) for one in record.passkeys)
        codes = record.generator.value if record.confirmed else None
        return FactorsOf(record.methods, passkeys, record.codes_left, codes)

    # -- being there

    def prepare_presence(self, owner: str, audience: str) -> ApprovalRequest:
        """Ask a person's passkey whether they are there. Anybody may cause it: it crowds out nothing that is to be
        signed or changed. FactorsNotEnrolled."""
        record = self._proofs.record(owner)
        if record is None or not record.passkeys:
            raise FactorsNotEnrolled
        nonce, expires = self._requests.new()
        data = PresenceData(owner, audience, nonce, expires, Method.PASSKEY)
        content = {"act": _PRESENCE, "audience": audience}
        self._store.write(lambda connection: self._requests.put(connection, owner, nonce, expires, content))
        options = assertion_options(record.passkeys, data.challenge())
        return ApprovalRequest(nonce, data.canonical(), expires, options)

    def check_presence(self, session: Session, owner: str, nonce: bytes, proof: Proof) -> None:
        """Check the answer; good once. ActivationInvalid, PasskeyInvalid, PasskeyCloned, FactorsNotEnrolled."""
        waiting = self._requests.find(self._store.read(), nonce, _PRESENCE)
        if waiting.owner != owner or proof.method is not Method.PASSKEY:
            raise ActivationInvalid
        data = PresenceData(owner, waiting.content["audience"], nonce, waiting.expires, Method.PASSKEY)

        def done(connection: sqlite3.Connection) -> None:
            self._requests.take(connection, nonce)
            self._audit.append(connection, session.actor, "check-presence", owner, "done")

        self._proofs.prove(owner, proof, data.challenge(), done)

    # -- changes

    def prepare_change(self, session: Session, owner: str, change: FactorChange, method: Method) -> ChangeRequest:
        """Lay down a change, to be approved by ``method``. FactorsNotEnrolled when the person does not have that."""
        record, key = self._proofs.record(owner), self._persons.existing_key(owner)
        if record is None or key is None or method not in record.methods:
            raise FactorsNotEnrolled
        staged, named, registration = self._stage(owner, key, record, change)
        nonce, expires = self._requests.new()
        data = ChangeData(owner, named, nonce, expires, method)
        options = assertion_options(record.passkeys, data.challenge()) if method is Method.PASSKEY else None
        content = {"act": _CHANGE, "method": method.value, "named": named, "staged": staged}

        def work(connection: sqlite3.Connection) -> None:
            if registration is not None:
                self._requests.take(connection, registration)
            self._requests.put(connection, owner, nonce, expires, content)
            self._audit.append(connection, session.actor, "prepare-change", owner, "done", named)

        self._store.write(work)
        seed = staged.get("seed")
        uri = with_seed(record, seed).provisioning_uri(owner) if seed else None
        return ChangeRequest(ApprovalRequest(nonce, data.canonical(), expires, options), uri)

    def approve_change(self, session: Session, owner: str, nonce: bytes, proof: Proof, totp: str | None) -> None:
        """Make the change of ``owner``'s that a proof approves. ``totp``: a code of the new seed, if there is one.

        ActivationInvalid; PinIncorrect for a wrong code of the new seed too; what `Proofs.prove` raises.
        """
        waiting = self._requests.find(self._store.read(), nonce, _CHANGE)
        content = waiting.content
        if waiting.owner != owner or content["method"] != proof.method.value:
            raise ActivationInvalid
        named, staged = content["named"], content["staged"]
        edit = self._edit(staged, totp)
        self._note(session, "change-factor", owner, "intent", named)

        def done(connection: sqlite3.Connection) -> None:
            self._requests.take(connection, nonce)
            self._audit.append(connection, session.actor, "change-factor", owner, "done", named)

        data = ChangeData(owner, named, nonce, waiting.expires, proof.method)
        self._proofs.prove(owner, proof, data.challenge(), done, edit)

    def lose(self, session: Session, owner: str) -> list[str]:
        """Destroy a person's factors, keys, and what waits for approval; gives the keys' ids. FactorsNotEnrolled.

        What is sealed for the person stays readable: their person key stays.
        """
        if self._persons.record(owner) is None:
            raise FactorsNotEnrolled
        self._note(session, "lose-factors", owner, "intent")

        def work(connection: sqlite3.Connection) -> list[str]:
            keys = self._persons.lose_factors(connection, owner)
            self._audit.append(connection, session.actor, "lose-factors", owner, "done", {"keys": keys})
            return keys

        keys = self._store.write(work)
        self._store.scrub()
        return keys

    # -- the relying party of passkeys

    def set_relying_party(self, session: Session, rp_id: str, origins: list[str]) -> None:
        """For the security officer: whose passkeys are taken from now on. DataInvalid."""
        party = RelyingParty(rp_id, tuple(origins))

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (_PARTY, party.encode()))
            self._audit.append(connection, session.actor, "set-relying-party", "token", "done", asdict(party))

        self._store.write(work)

    def _party(self) -> RelyingParty:
        row = self._store.read().execute("SELECT value FROM meta WHERE name = ?", (_PARTY,)).fetchone()
        if row is None:
            raise PasskeysUnavailable
        return RelyingParty.decode(row["value"])

    # -- within

    def _first(self, connection: sqlite3.Connection, owner: str) -> None:
        """In the writing transaction: OwnerDestroyed, FactorsEnrolled, if that happened in between."""
        self._persons.key_in(connection, owner)
        if self._persons.has_factors(owner, connection):
            raise FactorsEnrolled

    def _registered(self, owner: str, response: str) -> tuple[Passkey, bytes]:
        challenge = challenge_of(response)
        if self._requests.find(self._store.read(), challenge, _REGISTER).owner != owner:
            raise ActivationInvalid
        return verify_registration(self._party(), response, challenge), challenge

    def _stage(
        self, owner: str, key: bytes, record: Record, change: FactorChange
    ) -> tuple[dict[str, Any], dict[str, str], bytes | None]:
        """What is kept until the change is approved, what the approval names, and the registration that it uses up."""
        kind = change.kind
        staged: dict[str, Any] = {}
        named = {"kind": kind.value}
        registration = None
        with_new_pin, with_new_seed = (
            kind in (ChangeKind.PIN, ChangeKind.PIN_AND_TOTP),
            kind in (ChangeKind.TOTP, ChangeKind.PIN_AND_TOTP),
        )
        if (change.pin is not None) != with_new_pin or (change.passkey is None) != (with_new_pin or with_new_seed):
            raise DataInvalid
        if kind in (ChangeKind.PIN, ChangeKind.TOTP) and not record.confirmed:
            raise FactorsNotEnrolled
        if change.pin is not None:
            check_pin(change.pin)
            made = with_pin(record, change.pin, self._randomness.bytes(SALT_LENGTH), self._proofs.cost, key)
            staged |= {"pin_salt": made.pin_salt, "pin_hash": made.pin_hash}
            named["pin"] = _hash(f"{made.pin_salt}{made.pin_hash}".encode())
        if with_new_seed:
            staged["seed"] = self._new_seed()
            named["seed"] = _hash(staged["seed"].encode())
        if kind is ChangeKind.ADD_PASSKEY:
            passkey, registration = self._registered(owner, change.passkey or "")
            staged["add"] = asdict(passkey)
            named |= _named(passkey)
        if kind is ChangeKind.REMOVE_PASSKEY:
            if change.passkey not in [one.credential_id for one in record.passkeys]:
                raise DataInvalid
            if not _without(record, change.passkey or "").methods:
                raise LastFactor
            staged["remove"] = named["credential"] = change.passkey or ""
        return staged, named, registration

    def _edit(self, staged: dict[str, Any], totp: str | None) -> Edit:
        def edit(record: Record) -> Record:
            if "pin_hash" in staged or "seed" in staged:
                record = replace(record, failures=0, locked_until=0)
            if "pin_hash" in staged:
                record = replace(record, pin_salt=staged["pin_salt"], pin_hash=staged["pin_hash"])
            if "seed" in staged:
                record = with_seed(record, staged["seed"])
                verdict, step = judge_code(record, totp or "", self._clock.now())
                if verdict is not Code.FRESH:
                    raise PinIncorrect
                record = replace(record, confirmed=True, last_step=step)
            if "add" in staged:
                record = replace(record, passkeys=(*record.passkeys, Passkey.of(staged["add"])))
            if "remove" in staged:
                record = _without(record, staged["remove"])
                if not record.methods:
                    raise LastFactor
            return record

        return edit

    def _new_seed(self) -> str:
        return b32encode(self._randomness.bytes(_SEED_LENGTH)).decode()

    def _note(
        self, session: Session, action: str, owner: str, outcome: str, details: dict[str, str] | None = None
    ) -> None:
        self._store.write(
            lambda connection: self._audit.append(connection, session.actor, action, owner, outcome, details)
        )


def _named(passkey: Passkey) -> dict[str, str]:
    return {"credential": passkey.credential_id, "public_key": _hash(bytes.fromhex(passkey.public_key))}


def _without(record: Record, credential_id: str) -> Record:
    return replace(record, passkeys=tuple(one for one in record.passkeys if one.credential_id != credential_id))


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _device(serial: str) -> dict[str, Any]:
    return {"what": "otp-device", "serial": serial}
