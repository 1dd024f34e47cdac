"""What can be asked of the daemon: each operation, its arguments (checked strictly) and the roles that may ask.

There is no operation that gives a private key, changes a key's use or owner, or decrypts at large.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, TypeVar

from foundation.keys.activation import Method, Proof
from foundation.keys.errors import DataInvalid, KeyStoreError, MechanismInvalid, NotLoggedIn
from foundation.keys.policy import KeyPolicy
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from hsm_emulation.factors_wire import (
    activation_value,
    approval_value,
    change_from,
    change_request_value,
    factors_value,
    proof_from,
)
from hsm_emulation.protocol import error_value, key_value
from hsm_emulation.sessions import Role, Session
from hsm_emulation.staged import Staged
from hsm_emulation.token import PAGE, Token

_log = logging.getLogger("camtrust.hsm")

E = TypeVar("E", bound=Enum)
Check = Callable[[object], Any]


def _text(longest: int) -> Check:
    def check(value: object) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= longest or not value.isprintable():
            raise DataInvalid
        return value

    return check


def _opaque_id(value: object) -> str:
    """Ids of keys and persons: 1 to 128 printable ASCII characters without a space."""
    if not isinstance(value, str) or not 0 < len(value) <= 128 or not all("!" <= sign <= "~" for sign in value):
        raise DataInvalid
    return value


def _secret(value: object) -> str:
    """A PIN or code, whatever is in it: its check says whether it is right."""
    if not isinstance(value, str) or len(value) > 255:
        raise DataInvalid
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        raise DataInvalid from None
    return value


def _octets(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise DataInvalid
    return value


def _list_of_octets(value: object) -> list[bytes]:
    if not isinstance(value, list):
        raise DataInvalid
    return [_octets(one) for one in value]


def _list_of_labels(value: object) -> list[str]:
    if not isinstance(value, list):
        raise DataInvalid
    return [_label(one) for one in value]


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise DataInvalid
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        raise DataInvalid
    return value


def _one_of(kind: type[E], otherwise: type[KeyStoreError]) -> Check:
    def check(value: object) -> E:
        try:
            return kind(value)
        except ValueError:
            raise otherwise from None

    return check


def _or_none(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


_algorithm = _one_of(KeyAlgorithm, MechanismInvalid)
_mechanism = _one_of(Mechanism, MechanismInvalid)
_use = _one_of(KeyUse, DataInvalid)
_label = _text(200)
_response = _text(64 * 1024)
_method = _one_of(Method, DataInvalid)
_USER, _SO, _BOTH = frozenset({Role.USER}), frozenset({Role.SO}), frozenset(Role)


@dataclass(frozen=True)
class Operation:
    """``fields``: argument name to its check. ``run`` gets them by name, and gives the answer or a Staged that will.
    ``subject``: what a refusal is about.
    """

    roles: frozenset[Role]
    fields: Mapping[str, Check]
    run: Callable[..., Any]
    subject: str | None = None


def _find(token: Token, _: Session, **args: Any) -> dict[str, Any]:
    keys, following = token.find(**args)
    return {"keys": [key_value(info) for info in keys], "after": following}


def _generate_wrapped(token: Token, session: Session, **args: Any) -> dict[str, Any]:
    made = token.wrapped.generate(session, **args)
    return {"info": key_value(made.info), "wrapped": made.wrapped}


def _activate(token: Token, session: Session, key_id: str, **args: Any) -> dict[str, Any]:
    return activation_value(token.activations.activate(session, token.get(key_id), **args))


def _prepare_activation(token: Token, session: Session, key_id: str, **args: Any) -> dict[str, Any]:
    return approval_value(token.activations.prepare(session, token.get(key_id), **args))


def _approve(token: Token, session: Session, nonce: bytes, proof: Proof) -> dict[str, Any]:
    info = token.get(token.activations.key_of(nonce))
    return activation_value(token.activations.approve(session, info, nonce, proof))


def _prepare_change(token: Token, session: Session, **args: Any) -> dict[str, Any]:
    return change_request_value(token.factors.prepare_change(session, **args))


def _first(staged: Staged[list[bytes]]) -> Staged[bytes]:
    return Staged(staged.work, lambda: staged.finish()[0], staged.weight)


OPERATIONS: Mapping[str, Operation] = {
    "generate": Operation(
        _USER,
        {
            "label": _label,
            "algorithm": _algorithm,
            "use": _use,
            "owner": _or_none(_opaque_id),
            "policy": _or_none(KeyPolicy.parse),
        },
        lambda token, session, **args: key_value(token.generate(session, **args)),
        "label",
    ),
    "find": Operation(
        _BOTH,
        {"label": _or_none(_label), "use": _or_none(_use), "owner": _or_none(_opaque_id), "after": _number},
        _find,
    ),
    "get": Operation(_BOTH, {"key_id": _opaque_id}, lambda token, _, key_id: key_value(token.get(key_id))),
    "sign": Operation(
        _USER,
        {
            "key_id": _opaque_id,
            "mechanism": _mechanism,
            "data": _octets,
            "activation": _or_none(_octets),
            "audience": _or_none(_label),
        },
        lambda token, session, data, **args: _first(token.sign(session, inputs=[data], **args)),
        "key_id",
    ),
    "sign_many": Operation(
        _USER,
        {
            "key_id": _opaque_id,
            "mechanism": _mechanism,
            "inputs": _list_of_octets,
            "activation": _or_none(_octets),
            "audience": _or_none(_label),
        },
        lambda token, session, **args: token.sign(session, **args),
        "key_id",
    ),
    "set_enabled": Operation(
        _USER,
        {"key_id": _opaque_id, "enabled": _flag},
        lambda token, session, **args: token.set_enabled(session, **args),
        "key_id",
    ),
    "destroy": Operation(
        _USER,
        {"key_id": _opaque_id},
        lambda token, session, key_id: token.destroy(session, key_id),
        "key_id",
    ),
    "generate_wrapped": Operation(
        _USER,
        {"owner": _opaque_id, "algorithm": _algorithm, "use": _use, "policy": _or_none(KeyPolicy.parse)},
        _generate_wrapped,
        "owner",
    ),
    "sign_wrapped": Operation(
        _USER,
        {
            "wrapped": _octets,
            "mechanism": _mechanism,
            "inputs": _list_of_octets,
            "activation": _or_none(_octets),
            "audience": _or_none(_label),
        },
        lambda token, session, **args: token.wrapped.sign(session, **args),
        "wrapped",
    ),
    "rewrap": Operation(
        _USER,
        {"wrapped": _octets},
        lambda token, session, wrapped: token.wrapped.rewrap(session, wrapped),
        "wrapped",
    ),
    "wrapped_keys": Operation(
        _BOTH,
        {"owner": _opaque_id},
        lambda token, _, owner: [key_value(info) for info in token.wrapped.of_owner(owner)],
    ),
    "set_wrapped_enabled": Operation(
        _USER,
        {"owner": _opaque_id, "key_id": _opaque_id, "enabled": _flag},
        lambda token, session, **args: token.wrapped.set_enabled(session, **args),
        "key_id",
    ),
    "destroy_wrapped": Operation(
        _USER,
        {"owner": _opaque_id, "key_id": _opaque_id},
        lambda token, session, **args: token.wrapped.destroy(session, **args),
        "key_id",
    ),
    "renew_person": Operation(
        _USER,
        {"owner": _opaque_id},
        lambda token, session, owner: token.wrapped.renew(session, owner),
        "owner",
    ),
    "enrol": Operation(
        _USER,
        {"owner": _opaque_id, "pin": _secret},
        lambda token, session, **args: token.factors.enrol(session, **args).provisioning_uri,
        "owner",
    ),
    "confirm": Operation(
        _USER,
        {"owner": _opaque_id, "totp": _secret},
        lambda token, session, **args: token.factors.confirm(session, **args),
        "owner",
    ),
    "check": Operation(
        _USER,
        {"owner": _opaque_id, "pin": _secret, "totp": _secret},
        lambda token, session, **args: token.factors.check(session, **args),
        "owner",
    ),
    "activate": Operation(
        _USER,
        {"key_id": _opaque_id, "digests": _list_of_octets, "pin": _secret, "totp": _secret, "audience": _label},
        _activate,
        "key_id",
    ),
    "factors_of": Operation(
        _USER, {"owner": _opaque_id}, lambda token, _, owner: factors_value(token.factors.factors_of(owner))
    ),
    "begin_passkey": Operation(
        _USER,
        {"owner": _opaque_id},
        lambda token, session, owner: token.factors.begin_passkey(session, owner),
        "owner",
    ),
    "finish_passkey": Operation(
        _USER,
        {"owner": _opaque_id, "response": _response},
        lambda token, session, **args: token.factors.finish_passkey(session, **args),
        "owner",
    ),
    "prepare_activation": Operation(
        _USER,
        {"key_id": _opaque_id, "digests": _list_of_octets, "audience": _label, "method": _method},
        _prepare_activation,
        "key_id",
    ),
    "approve": Operation(_USER, {"nonce": _octets, "proof": proof_from}, _approve, "nonce"),
    "prepare_change": Operation(
        _USER, {"owner": _opaque_id, "change": change_from, "method": _method}, _prepare_change, "owner"
    ),
    "approve_change": Operation(
        _USER,
        {"nonce": _octets, "proof": proof_from, "totp": _or_none(_secret)},
        lambda token, session, **args: token.factors.approve_change(session, **args),
        "nonce",
    ),
    "lose_factors": Operation(
        _USER, {"owner": _opaque_id}, lambda token, session, owner: token.factors.lose(session, owner), "owner"
    ),
    "set_relying_party": Operation(
        _SO,
        {"rp_id": _label, "origins": _list_of_labels},
        lambda token, session, **args: token.factors.set_relying_party(session, **args),
    ),
    "new_data_key": Operation(
        _USER,
        {"owner": _opaque_id, "purpose": _label},
        lambda token, _, **args: list(token.persons.new_data_key(**args)),
    ),
    "open_data_key": Operation(
        _USER,
        {"owner": _opaque_id, "purpose": _label, "wrapped": _octets},
        lambda token, _, **args: token.persons.open_data_key(**args),
        "owner",
    ),
    "destroy_owner": Operation(
        _USER,
        {"owner": _opaque_id},
        lambda token, session, owner: token.destroy_owner(session, owner),
        "owner",
    ),
    "set_user_pin": Operation(
        _SO,
        {"pin": _secret},
        lambda token, session, pin: token.sessions.set_user_pin(session, pin),
    ),
    "inventory": Operation(_BOTH, {}, lambda token, _: token.inventory()),
    "audit_entries": Operation(
        _BOTH,
        {"after": _number, "limit": _number},
        lambda token, _, after, limit: [asdict(one) for one in token.audit_entries(after, min(limit, PAGE))],
    ),
    "verify_audit": Operation(_BOTH, {}, lambda token, _: token.verify_audit()),
}

_role = _one_of(Role, DataInvalid)


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
            session, secret = sessions.login(_role(args["role"]), _secret(args["pin"]))
            self._take(session)
            return secret
        if name == "resume":
            _names(args, {"session"})
            self._take(sessions.resume(_octets(args["session"])))
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
