"""What the machine of `test_ekyc_machine.py` runs on: a token and a registry in memory, and where steps are cut off."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Connection, event

from ekyc.errors import RegistryUnavailable
from ekyc.model import State
from ekyc.policy import Policy
from ekyc.ports import VITAL_STATUS, FieldOutcome, RegistryAnswer, RegistryOutcome, RegistryQuery, RelationQuery
from ekyc.registry_simulation.matching import compare, compare_relation
from ekyc.registry_simulation.persons import Specimen, registered, series
from foundation.clock import SetClock
from foundation.db.engine import Database, open_database
from foundation.errors import CamTrustError
from foundation.http.actor import Actor
from foundation.keys.attestation import TOKEN_KEY_HASH, KeyAttestation, document
from foundation.keys.errors import FactorsEnrolled, FactorsNotEnrolled, KeyHandleInvalid, PinIncorrect
from foundation.keys.factors import FactorsOf
from foundation.keys.policy import KeyPolicy, policy_for
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, TotpEnrolment, WrappedKey
from tests.ekyc.story import PIN, SmallCa, World
from tests.ekyc.test_ekyc_policy import AT
from tests.web.keys_in_memory import MemoryPersonKeys

CODE = "111222"


class MemoryToken(MemoryPersonKeys):
    """Factors and keys in memory, so that thousands of steps are quick; the real ones are used everywhere else."""

    def __init__(self) -> None:
        super().__init__()
        self.pins: dict[str, bool] = {}
        self.keys: dict[str, KeyInfo] = {}
        self.made = 0
        self._own = ec.generate_private_key(ec.SECP256R1())

    def copied(self) -> MemoryToken:
        """Another token with the same contents."""
        twin = copy(self)
        twin.pins, twin.keys = dict(self.pins), dict(self.keys)
        twin._keys, twin._destroyed = dict(self._keys), set(self._destroyed)
        return twin

    def enrol(self, owner: str, pin: str) -> TotpEnrolment:  # noqa: ARG002
        if self.pins.get(owner):
            raise FactorsEnrolled
        self.pins[owner] = False
        return TotpEnrolment("otpauth://totp/SPECIMEN")

    def confirm(self, owner: str, totp: str) -> None:
        if owner not in self.pins:
            raise FactorsNotEnrolled
        if self.pins[owner]:
            raise FactorsEnrolled
        if totp != CODE:
            raise PinIncorrect
        self.pins[owner] = True

    def lose_factors(self, owner: str) -> tuple[str, ...]:
        if self.pins.pop(owner, None) is None:
            raise FactorsNotEnrolled
        lost = tuple(key.key_id for key in self.wrapped_keys(owner))
        for key_id in lost:
            del self.keys[key_id]
        return lost

    def factors_of(self, owner: str) -> FactorsOf:  # noqa: ARG002
        return FactorsOf(frozenset(), ())

    def check(self, owner: str, pin: str, totp: str) -> None:
        if not self.pins.get(owner) or (pin, totp) != (PIN, CODE):
            raise PinIncorrect

    def generate_wrapped(
        self, owner: str, algorithm: KeyAlgorithm, use: KeyUse, policy: KeyPolicy | None = None
    ) -> WrappedKey:
        public = ec.generate_private_key(ec.SECP256R1()).public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.made += 1
        key_id = f"key-{self.made}"
        info = KeyInfo(key_id, key_id, algorithm, use, der, owner, True, policy_for(use, policy).hash)
        self.keys[key_id] = info
        return WrappedKey(info, key_id.encode())

    def wrapped_keys(self, owner: str) -> tuple[KeyInfo, ...]:
        return tuple(key for key in self.keys.values() if key.owner == owner)

    def destroy_wrapped(self, owner: str, key_id: str) -> None:  # noqa: ARG002
        if self.keys.pop(key_id, None) is None:
            raise KeyHandleInvalid

    def token_key(self) -> bytes:
        return self._own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def attest(self, key_id: str) -> bytes:
        info = self.keys[key_id]
        public_key = hashlib.sha256(info.public_key).hexdigest()
        said = KeyAttestation(
            "SPECIMEN", key_id, info.owner, info.algorithm, info.use, public_key, info.policy, "wrapped", 1, AT
        )
        return document(said, lambda message: self._own.sign(message, ec.ECDSA(TOKEN_KEY_HASH)))


class MemoryRegistry:
    """The simulated registry's comparison, without its process; each answer with a reference of its own."""

    def __init__(self) -> None:
        self.down = False
        self.died = False  # whoever it is asked about
        self.references: list[str] = []

    def _reference(self) -> str:
        self.references.append(f"SPECIMEN-{len(self.references)}")
        return self.references[-1]

    def match(self, query: RegistryQuery) -> RegistryAnswer:
        if self.down:
            raise RegistryUnavailable
        asked = {**vars(query), "date_of_birth": query.date_of_birth.isoformat()}
        outcome, fields = compare(registered(query.document_number, query.issuing_state), asked)
        compared = {name: FieldOutcome(value) for name, value in fields.items()}
        if self.died:
            compared[VITAL_STATUS] = FieldOutcome.MISMATCH
        return RegistryAnswer(RegistryOutcome(outcome), compared, self._reference())

    def relation(self, query: RelationQuery) -> RegistryAnswer:
        if self.down:
            raise RegistryUnavailable
        child, guardian = (registered(one.document_number) for one in (query.child, query.guardian))
        outcome, fields = compare_relation(child, guardian, query.relation)
        compared = {name: FieldOutcome(value) for name, value in fields.items()}
        return RegistryAnswer(RegistryOutcome(outcome), compared, self._reference())


@dataclass(frozen=True)
class Village:
    """A world before the machine begins: two people with a certificate, of whom the registry knows `leading-zero` as
    the minor's guardian in dispute. It is made once, and copied for each example."""

    file: bytes
    token: MemoryToken
    ca: SmallCa
    holders: tuple[Actor, ...]

    def copied(self, path: Path, policy: Policy | None) -> World:
        """The world again, over a database of its own."""
        path.write_bytes(self.file)
        database = _database(path)
        token: Any = self.token.copied()
        world = World(database, token, SetClock(AT), MemoryRegistry(), policy=policy)
        world.ca.issued, world.ca.requests = dict(self.ca.issued), list(self.ca.requests)
        return world


@cache
def village() -> Village:
    """Made by the real steps, with the policy of the build."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "village.sqlite"
        database, memory = _database(path), MemoryToken()
        token: Any = memory
        world = World(database, token, SetClock(AT), MemoryRegistry())
        holders = tuple(_holder(world, person) for person in ("leading-zero", series(811)))
        database.close()
        return Village(path.read_bytes(), memory, world.ca, holders)


def _holder(world: World, person: Specimen | str) -> Actor:
    actor, name = world.until(State.APPROVED, person)
    issuance = world.service.issuance
    issuance.enrol_factors(actor, name, PIN)
    issuance.confirm_factors(actor, name, CODE)
    issuance.certificate(actor, name)
    return actor


def _database(path: Path) -> Database:
    """A process is killed here by an exception alone, so that nothing has to be on the disk before we go on."""
    database = open_database(f"sqlite:///{path}")

    @event.listens_for(database.engine, "connect")
    def quick(connection: Any, record: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    return database


class Killed(BaseException):
    """The process died: nothing after this point is run."""


class Fuse:
    """At the n-th of the points where a step can be cut off, once: kills, loses an answer, or lets something else
    happen between what the step has read and what it writes (the same request again, say)."""

    def __init__(self) -> None:
        self.left = 0
        self.lit = False
        self.failure: BaseException | None = Killed()
        self.meanwhile: Callable[[], object] = lambda: None

    def burn(self, *, written: bool = False) -> None:
        if not (self.lit and self.left > 0):
            return
        self.left -= 1
        if self.left > 0:
            return
        if self.failure is not None:
            raise self.failure
        if written:  # the database is held: whatever comes now comes after this step
            self.left = 1
            return
        self.lit = False
        with suppress(CamTrustError):
            self.meanwhile()
        self.lit = True

    def after(self, call: Any) -> Any:
        """The call is done, and then the fuse may burn: what was asked for has happened, and nobody heard of it."""

        def called(*arguments: Any, **named: Any) -> Any:
            answer = call(*arguments, **named)
            self.burn()
            return answer

        return called

    def around(self, database: Database) -> Any:
        """Units of work that can be cut off or overtaken before they begin, before they are committed, and after."""
        real = database.unit_of_work

        @contextmanager
        def unit_of_work() -> Iterator[Connection]:
            self.burn()
            with real() as connection:
                yield connection
                self.burn(written=True)
            self.burn()

        return unit_of_work
