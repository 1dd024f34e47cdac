"""What can be asked of the daemon: each operation, its arguments (checked strictly) and the roles that may ask.

There is no operation that gives a private key, changes a key's use or owner, or decrypts at large.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from foundation.keys.errors import DataInvalid, KeyStoreError, MechanismInvalid, NotLoggedIn
from foundation.keys.policy import KeyPolicy
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from hsm_emulation.factor_operations import FACTOR_OPERATIONS
from hsm_emulation.operation import (
    BOTH,
    SO,
    USER,
    Operation,
    flag,
    label,
    list_of_octets,
    number,
    octets,
    one_of,
    opaque_id,
    or_none,
    secret,
)
from hsm_emulation.protocol import error_value, key_value
from hsm_emulation.sessions import Role, Session
from hsm_emulation.staged import Staged
from hsm_emulation.token import PAGE, Token

_log = logging.getLogger("camtrust.hsm")

_algorithm = one_of(KeyAlgorithm, MechanismInvalid)
_mechanism = one_of(Mechanism, MechanismInvalid)
_use = one_of(KeyUse, DataInvalid)


def _find(token: Token, _: Session, **args: Any) -> dict[str, Any]:
    keys, following = token.find(**args)
    return {"keys": [key_value(info) for info in keys], "after": following}


def _generate_wrapped(token: Token, session: Session, **args: Any) -> dict[str, Any]:
    made = token.wrapped.generate(session, **args)
    return {"info": key_value(made.info), "wrapped": made.wrapped}


def _first(staged: Staged[list[bytes]]) -> Staged[bytes]:
    return Staged(staged.work, lambda: staged.finish()[0], staged.weight)


OPERATIONS: Mapping[str, Operation] = {
    "generate": Operation(
        USER,
        {
            "label": label,
            "algorithm": _algorithm,
            "use": _use,
            "owner": or_none(opaque_id),
            "policy": or_none(KeyPolicy.parse),
        },
        lambda token, session, **args: key_value(token.generate(session, **args)),
        "label",
    ),
    "find": Operation(
        BOTH,
        {"label": or_none(label), "use": or_none(_use), "owner": or_none(opaque_id), "after": number},
        _find,
    ),
    "get": Operation(BOTH, {"key_id": opaque_id}, lambda token, _, key_id: key_value(token.get(key_id))),
    "sign": Operation(
        USER,
        {
            "key_id": opaque_id,
            "mechanism": _mechanism,
            "data": octets,
            "activation": or_none(octets),
            "audience": or_none(label),
        },
        lambda token, session, data, **args: _first(token.sign(session, inputs=[data], **args)),
        "key_id",
    ),
    "sign_many": Operation(
        USER,
        {
            "key_id": opaque_id,
            "mechanism": _mechanism,
            "inputs": list_of_octets,
            "activation": or_none(octets),
            "audience": or_none(label),
        },
        lambda token, session, **args: token.sign(session, **args),
        "key_id",
    ),
    "set_enabled": Operation(
        USER,
        {"key_id": opaque_id, "enabled": flag},
        lambda token, session, **args: token.set_enabled(session, **args),
        "key_id",
    ),
    "destroy": Operation(
        USER,
        {"key_id": opaque_id},
        lambda token, session, key_id: token.destroy(session, key_id),
        "key_id",
    ),
    "generate_wrapped": Operation(
        USER,
        {"owner": opaque_id, "algorithm": _algorithm, "use": _use, "policy": or_none(KeyPolicy.parse)},
        _generate_wrapped,
        "owner",
    ),
    "sign_wrapped": Operation(
        USER,
        {
            "wrapped": octets,
            "mechanism": _mechanism,
            "inputs": list_of_octets,
            "activation": or_none(octets),
            "audience": or_none(label),
        },
        lambda token, session, **args: token.wrapped.sign(session, **args),
        "wrapped",
    ),
    "rewrap": Operation(
        USER,
        {"wrapped": octets},
        lambda token, session, wrapped: token.wrapped.rewrap(session, wrapped),
        "wrapped",
    ),
    "wrapped_keys": Operation(
        BOTH,
        {"owner": opaque_id},
        lambda token, _, owner: [key_value(info) for info in token.wrapped.of_owner(owner)],
    ),
    "set_wrapped_enabled": Operation(
        USER,
        {"owner": opaque_id, "key_id": opaque_id, "enabled": flag},
        lambda token, session, **args: token.wrapped.set_enabled(session, **args),
        "key_id",
    ),
    "destroy_wrapped": Operation(
        USER,
        {"owner": opaque_id, "key_id": opaque_id},
        lambda token, session, **args: token.wrapped.destroy(session, **args),
        "key_id",
    ),
    "renew_person": Operation(
        USER,
        {"owner": opaque_id},
        lambda token, session, owner: token.wrapped.renew(session, owner),
        "owner",
    ),
    **FACTOR_OPERATIONS,
    "attest": Operation(
        BOTH,
        {"key_id": opaque_id},
        lambda token, session, key_id: token.attest(session, key_id),
        "key_id",
    ),
    "token_key": Operation(BOTH, {}, lambda token, _: token.token_key()),
    "new_data_key": Operation(
        USER,
        {"owner": opaque_id, "purpose": label},
        lambda token, _, **args: list(token.persons.new_data_key(**args)),
    ),
    "open_data_key": Operation(
        USER,
        {"owner": opaque_id, "purpose": label, "wrapped": octets},
        lambda token, _, **args: token.persons.open_data_key(**args),
        "owner",
    ),
    "destroy_owner": Operation(
        USER,
        {"owner": opaque_id},
        lambda token, session, owner: token.destroy_owner(session, owner),
        "owner",
    ),
    "set_user_pin": Operation(
        SO,
        {"pin": secret},
        lambda token, session, pin: token.sessions.set_user_pin(session, pin),
    ),
    "inventory": Operation(BOTH, {}, lambda token, _: token.inventory()),
    "audit_entries": Operation(
        BOTH,
        {"after": number, "limit": number},
        lambda token, _, after, limit: [asdict(one) for one in token.audit_entries(after, min(limit, PAGE))],
    ),
    "verify_audit": Operation(BOTH, {}, lambda token, _: token.verify_audit()),
}

_role = one_of(Role, DataInvalid)


class Conversation:
    """One connection's talk with the token: who is logged in on it, and the answer to each request."""

    def __init__(self, token: Token, status: Mapping[str, Any]) -> None:
        self._token, self._status = token, status
        self._session: Session | None = None

    @property
    def logged_in(self) -> bool:
        return self._session is not None and self._session.alive

    def close(self) -> None:
        """The connection is gone; the session stays, for the client's other connections."""
        if self._session is not None:
            self._token.sessions.detach(self._session)
            self._session = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request. Whatever happens inside, it is an answer: nothing internal gets out."""
        name, args = request.get("op"), request.get("args")
        try:
            if not isinstance(name, str) or not isinstance(args, dict):
                raise DataInvalid
            return {"ok": self._run(name, args)}
        except KeyStoreError as error:
            return {"error": error_value(error)}
        except Exception as error:
            # The kind of error and the operation: a message or traceback could hold what must not be in a log.
            _log.error("operation %.40r failed inside: %s", name, type(error).__name__)
            return {"error": error_value(KeyStoreError())}

    def _run(self, name: str, args: dict[str, Any]) -> Any:
        sessions = self._token.sessions
        if name == "status":
            return dict(self._status)
        if name == "login":
            _names(args, {"role", "pin"})
            session, token = sessions.login(_role(args["role"]), secret(args["pin"]))
            self._take(session)
            return token
        if name == "resume":
            _names(args, {"session"})
            self._take(sessions.resume(octets(args["session"])))
            return None
        session = self._alive()
        if name == "logout":
            sessions.logout(session)
            return None
        operation = OPERATIONS.get(name)
        if operation is None:
            raise DataInvalid
        if session.role not in operation.roles:
            raise NotLoggedIn
        _names(args, set(operation.fields))
        checked = {field: check(args[field]) for field, check in operation.fields.items()}
        try:
            result = operation.run(self._token, session, **checked)
            return self._token.store.carry_out(result) if isinstance(result, Staged) else result
        except KeyStoreError as error:
            if operation.subject is not None:
                self._record_refusal(session, name, _subject(checked[operation.subject]), error.code)
            raise

    def _take(self, session: Session) -> None:
        self.close()
        self._token.sessions.attach(session)
        self._session = session

    def _alive(self) -> Session:
        if self._session is None or not self._session.alive:
            raise NotLoggedIn
        return self._session

    def _record_refusal(self, session: Session, name: str, subject: str, code: str) -> None:
        audit = self._token.audit
        self._token.store.write(lambda connection: audit.append(connection, session.actor, name, subject, code))


def _subject(value: object) -> str:
    """What a refusal is about, as the audit log names it: an id, or the hash of a wrapped key."""
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else str(value)


def _names(args: dict[str, Any], expected: set[str]) -> None:
    if set(args) != expected:
        raise DataInvalid
