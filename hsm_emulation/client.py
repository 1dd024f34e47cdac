"""The emulated HSM seen from the services: a key store, persons' factors and person keys, over the daemon's socket.

Thread-safe and fork-safe; what happens when the daemon goes away is in :mod:`hsm_emulation.client_wire`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from foundation.keys.capabilities import Capabilities, Feature
from foundation.keys.errors import DataInvalid, NotLoggedIn, StoreRolledBack, TokenUnavailable
from foundation.keys.marks import Mark
from foundation.keys.policy import KeyPolicy
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, Mechanism, WrappedKey
from foundation.keys.quorum import Custodians
from hsm_emulation.client_wire import Wire
from hsm_emulation.factors_wire import FactorCalls
from hsm_emulation.protocol import SIGN, SIGN_WRAPPED, STAMP, Frame, key_from
from hsm_emulation.tls import TlsIdentity
from hsm_emulation.witness import WitnessFile

_PAGE = 500

CAPABILITIES = Capabilities(
    algorithms=frozenset(KeyAlgorithm),
    mechanisms=frozenset(Mechanism),
    features=frozenset(Feature),
    emulated=True,
)
"""The emulated HSM declares no gap."""


class HsmClient(FactorCalls):
    """Implements KeyStore, WrappedKeys, PersonFactors, PersonKeys and Marks (`foundation.keys`).

    ``pin``: where to get the user's PIN when the daemon was restarted and knows our session no more; without it the
    caller hears NotLoggedIn. ``audience``: if given, only activations for this audience are redeemed.
    ``timeout``: seconds to wait for an answer (an RSA-4096 key can take ten). ``witness``: the file with the token's
    last checkpoint, shown to it at each login and renewed (:meth:`witness`). ``session``: one that another process
    logged in for us (:attr:`session`), so that this one need not know any PIN. ``tls``: certificates, for a daemon on
    another machine, whose ``path`` is ``tls://host:port``.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        pin: Callable[[], str] | None = None,
        audience: str | None = None,
        timeout: float = 60.0,
        tls: TlsIdentity | None = None,
        witness: Path | None = None,
        session: bytes | None = None,
    ) -> None:
        self._pin, self._audience = pin, audience
        self._witness = WitnessFile(witness) if witness is not None else None
        self._session = session
        self._wire = Wire(os.fspath(path), timeout, tls)

    # -- sessions

    @property
    def session(self) -> bytes | None:
        """What stands for the login, to be handed to a process that shall not know the PIN."""
        return self._session

    def login(self, pin: str, role: str = "user") -> None:
        """Log in. TokenPinIncorrect, TokenPinLocked (``retry_after`` seconds), TokenUnavailable."""
        secret = self._wire.ask(None, "login", {"role": role, "pin": pin}, reads=False)
        self._session = secret
        with suppress(StoreRolledBack):  # told by every call that would sign; the others are needed to mend it
            self.witness()

    def login_quorum(self, cards: Sequence[str], role: str = "user") -> None:
        """Log in with enough of the token's cards (SLIP-39), as ``user`` or ``so``.

        CardsUnreadable, CardsMixed, CardsForeign, CardsRepeated, CardsTooFew; NoCards for a token with PINs;
        TokenUnavailable. ``status()["cards"]`` says how many of how many are needed.
        """
        secret = self._wire.ask(None, "login_quorum", {"role": role, "cards": list(cards)}, reads=False)
        self._session = secret
        with suppress(StoreRolledBack):
            self.witness()

    def logout(self) -> None:
        """End the session, on all connections. With its last session the token locks."""
        if self._session is not None:
            with suppress(NotLoggedIn):
                self._wire.ask(self._session, "logout", {}, reads=False)
            self._session = None
        self._wire.close()

    def close(self) -> None:
        """Log out, as far as the daemon is there, and close."""
        with suppress(TokenUnavailable):
            self.logout()
        self._session = None
        self._wire.close()

    def __enter__(self) -> HsmClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- KeyStore

    def capabilities(self) -> Capabilities:
        """Every algorithm, mechanism and feature there is; and that there is no hardware."""
        return CAPABILITIES

    def generate(
        self,
        label: str,
        algorithm: KeyAlgorithm,
        use: KeyUse,
        owner: str | None = None,
        policy: KeyPolicy | None = None,
    ) -> KeyInfo:
        written = None if policy is None else policy.data()
        return key_from(self._call("generate", label=label, algorithm=algorithm, use=use, owner=owner, policy=written))

    def find(
        self, *, label: str | None = None, use: KeyUse | None = None, owner: str | None = None
    ) -> tuple[KeyInfo, ...]:
        found: list[KeyInfo] = []
        after: int | None = 0
        while after is not None:
            page = self._call("find", reads=True, label=label, use=use, owner=owner, after=after)
            found += [key_from(value) for value in page["keys"]]
            after = page["after"]
        return tuple(found)

    def get(self, key_id: str) -> KeyInfo:
        return key_from(self._call("get", reads=True, key_id=key_id))

    def sign(
        self,
        key_id: str,
        mechanism: Mechanism,
        data: bytes,
        *,
        activation: bytes | None = None,
        content: bytes | None = None,
    ) -> bytes:
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
        frame = SIGN
        if contents is not None:
            frame = STAMP
            if len(contents) != len(inputs):
                raise DataInvalid
            inputs = [octets for pair in zip(inputs, contents, strict=True) for octets in pair]
        signatures: list[bytes] = self._call(
            "sign" if frame is SIGN else "stamp",
            frame=frame,
            key_id=key_id,
            mechanism=mechanism,
            inputs=inputs,
            activation=activation,
            audience=self._audience,
        )
        return signatures

    def set_enabled(self, key_id: str, enabled: bool) -> None:
        self._call("set_enabled", key_id=key_id, enabled=enabled)

    def destroy(self, key_id: str) -> None:
        self._call("destroy", key_id=key_id)

    # -- WrappedKeys

    def generate_wrapped(
        self, owner: str, algorithm: KeyAlgorithm, use: KeyUse, policy: KeyPolicy | None = None
    ) -> WrappedKey:
        written = None if policy is None else policy.data()
        value = self._call("generate_wrapped", owner=owner, algorithm=algorithm, use=use, policy=written)
        return WrappedKey(key_from(value["info"]), value["wrapped"])

    def sign_wrapped(
        self, wrapped: bytes, mechanism: Mechanism, inputs: Sequence[bytes], *, activation: bytes | None = None
    ) -> list[bytes]:
        signatures: list[bytes] = self._call(
            "sign_wrapped",
            frame=SIGN_WRAPPED,
            wrapped=wrapped,
            mechanism=mechanism,
            inputs=list(inputs),
            activation=activation,
            audience=self._audience,
        )
        return signatures

    def rewrap(self, wrapped: bytes) -> bytes:
        again: bytes = self._call("rewrap", wrapped=wrapped)
        return again

    def wrapped_keys(self, owner: str) -> tuple[KeyInfo, ...]:
        return tuple(key_from(value) for value in self._call("wrapped_keys", reads=True, owner=owner))

    def set_wrapped_enabled(self, owner: str, key_id: str, enabled: bool) -> None:
        self._call("set_wrapped_enabled", owner=owner, key_id=key_id, enabled=enabled)

    def destroy_wrapped(self, owner: str, key_id: str) -> None:
        self._call("destroy_wrapped", owner=owner, key_id=key_id)

    def renew_person(self, owner: str) -> None:
        self._call("renew_person", owner=owner)

    # -- PersonKeys

    def new_data_key(self, owner: str, purpose: str) -> tuple[bytes, bytes]:
        key, wrapped = self._call("new_data_key", owner=owner, purpose=purpose)
        return key, wrapped

    def open_data_key(self, owner: str, purpose: str, wrapped: bytes) -> bytes:
        key: bytes = self._call("open_data_key", reads=True, owner=owner, purpose=purpose, wrapped=wrapped)
        return key

    def destroy_owner(self, owner: str) -> bytes:
        certificate: bytes = self._call("destroy_owner", owner=owner)
        return certificate

    # -- witnessing

    def witness(self) -> None:
        """Show the token the last checkpoint that was witnessed, and keep the newest; nothing without a witness file.

        StoreRolledBack when the token's store is older; AttestationInvalid when the file is another token's.
        """
        if self._witness is not None:
            self._witness.write(self._call("witness", last=self._witness.read()))

    # -- Marks

    def marks(self) -> tuple[Mark, ...]:
        return tuple(map(Mark.parse, self._call("marks", reads=True)))

    def set_marks(self, marks: Sequence[Mark], *, again: bool = False) -> None:
        self._call("set_marks", marks=[mark.encode() for mark in marks], again=again)

    # -- attesting

    def attest(self, key_id: str) -> bytes:
        statement: bytes = self._call("attest", reads=True, key_id=key_id)
        return statement

    def token_key(self) -> bytes:
        key: bytes = self._call("token_key", reads=True)
        return key

    # -- operators

    def status(self) -> dict[str, Any]:
        """Without a login: that it is there and emulated, its serial and process, and how it is hardened."""
        value: dict[str, Any] = self._wire.ask(self._session, "status", {}, reads=True)
        return value

    def inventory(self) -> dict[str, Any]:
        """Counts of keys by use, algorithm and state; of owners, factors and audit rows."""
        value: dict[str, Any] = self._call("inventory", reads=True)
        return value

    def audit_entries(self, after: int = 0, limit: int = _PAGE) -> list[dict[str, Any]]:
        """Rows of the daemon's own audit log after a sequence number, at most 500."""
        entries: list[dict[str, Any]] = self._call("audit_entries", reads=True, after=after, limit=limit)
        return entries

    def verify_audit(self) -> int:
        """Check the daemon's audit chain; gives the number of rows. AuditBroken."""
        return int(self._call("verify_audit", reads=True))

    def set_auditor_pin(self, pin: str) -> None:
        """As SO: set the PIN of the auditor, who may read counts and the audit log and nothing else."""
        self._call("set_auditor_pin", pin=pin)

    # -- custodians

    def custodians(self) -> Custodians:
        """Who must approve new CA keys, rotation, policies, an accepted store and other custodians; maybe nobody."""
        return Custodians.parse(self._call("custodians", reads=True))

    def set_custodians(self, custodians: Custodians) -> None:
        """As SO, while there are none: set them. QuorumRequired afterwards."""
        self._call("set_custodians", custodians=custodians.data())

    def quorum_ask(self, operation: str, arguments: Mapping[str, Any]) -> bytes:
        """A request that custodians sign (`foundation.keys.quorum`). RequestInvalid."""
        request: bytes = self._call("quorum_ask", operation=operation, arguments=json.dumps(dict(arguments)))
        return request

    def quorum_perform(self, request: bytes, approvals: Sequence[bytes]) -> Any:
        """Do what was approved, once. RequestInvalid, ApprovalInvalid, QuorumTooFew, and what the act raises."""
        return self._call("quorum_perform", request=request, approvals=list(approvals))

    def set_policy(self, key_id: str, policy: KeyPolicy) -> KeyInfo:
        """As SO: give a key another policy."""
        return key_from(self._call("set_policy", key_id=key_id, policy=policy.data()))

    def accept_store(self) -> int:
        """As SO: take a store that was put back for the newest there is; gives the new epoch."""
        return int(self._call("accept_store"))

    def backup(self) -> str:
        """As SO: write a sealed backup on the daemon's machine; gives its path, from which to move it away."""
        return str(self._call("backup"))

    def rotate_master(self) -> int:
        """As SO: begin a new version of the master key; gives its number. RotationUnderWay."""
        return int(self._call("rotate_master"))

    def rewrap_rows(self, limit: int) -> int:
        """Move up to so many rows (at most 1000) to the newest master key; gives how many are left. At 0 it is done."""
        return int(self._call("rewrap_rows", limit=limit))

    def set_user_pin(self, pin: str) -> None:
        """As SO: set the user's PIN anew and end a lock-out."""
        self._call("set_user_pin", pin=pin)

    # -- the wire

    def _call(self, op: str, *, reads: bool = False, frame: Frame | None = None, **args: Any) -> Any:
        session = self._session
        if session is None:
            raise NotLoggedIn
        try:
            return self._wire.ask(session, op, args, reads=reads, frame=frame)
        except NotLoggedIn:
            # Nothing was done: the daemon says so before it looks at a request.
            if self._pin is None:
                raise
        if self._session == session:
            self.login(self._pin())
        return self._wire.ask(self._session, op, args, reads=reads, frame=frame)
