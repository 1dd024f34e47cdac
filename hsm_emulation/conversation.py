"""One connection's talk with the token: who is logged in on it, and what becomes of each request.

A request is answered at once; or it is *Together*, with a part that shares a commit with others; or it is *Later*,
because it takes long and must keep nobody waiting. Whatever happens inside, there is an answer, and nothing internal is
in it. What is refused about a key or a person is written to the audit log before it is answered.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foundation.keys.errors import DataInvalid, KeyStoreError, NotLoggedIn, RoleNotAllowed
from hsm_emulation.cards import MOST_CARDS
from hsm_emulation.operation import Operation, octets, one_of, secret, text
from hsm_emulation.operations import FRAMES, OPERATIONS
from hsm_emulation.protocol import (
    ANSWER,
    decode,
    decode_plain,
    decode_values,
    encode,
    encode_values,
    error_value,
    is_plain,
)
from hsm_emulation.sessions import Role, Session
from hsm_emulation.staged import Staged
from hsm_emulation.store import Store, Work
from hsm_emulation.token import Token

_log = logging.getLogger("camtrust.hsm")

_LARGE = 1 << 20  # octets of a request that even to hash takes long

_role = one_of(Role, DataInvalid)
_card = text(500)


@dataclass(frozen=True)
class Together:
    """A request whose work waits for a commit. ``encode`` gives the answer to what its finish gives; ``refusal`` is
    what is written when it is refused for the reason of this code.
    """

    staged: Staged[Any]
    encode: Callable[[Any], bytes]
    refusal: Callable[[str], Work[Any] | None]


@dataclass(frozen=True)
class Later:
    """A request that takes long: ``run`` gives the answer. ``derives``: it begins with a derivation from a PIN."""

    run: Callable[[], bytes]
    derives: bool = False


class Conversation:
    """``allowed``: the roles that may log in on this connection."""

    def __init__(self, token: Token, status: Mapping[str, Any], allowed: frozenset[Role] = frozenset(Role)) -> None:
        self._token, self._status, self._allowed = token, status, allowed
        self._session: Session | None = None

    @property
    def logged_in(self) -> bool:
        return self._session is not None and self._token.sessions.alive(self._session)

    def close(self) -> None:
        """The connection is gone; the session stays, for the client's other connections."""
        if self._session is not None:
            self._token.sessions.detach(self._session)
            self._session = None

    def begin(self, body: bytes) -> bytes | Together | Later:
        """Take one request. FrameInvalid for octets that are none."""
        if is_plain(body):
            code, values = decode_values(body)
            name, operation = FRAMES.get(code, ("", None))
            if operation is None or operation.frame is None:
                return error_answer(DataInvalid())
            args, encoding = decode_plain(operation.frame, values), _plain_answer
        else:
            name, args = request_of(decode(body))
            encoding = _answer
        try:
            return self._begin(name, args, encoding, large=len(body) > _LARGE)
        except Exception as error:
            return failed(name, error)

    def _begin(
        self, name: str, args: dict[str, Any], encoding: Callable[[Any], bytes], large: bool
    ) -> bytes | Together | Later:
        sessions = self._token.sessions
        if name == "status":
            return encoding({**self._status, **self._token.openings()})
        if name == "login":
            _names(args, {"role", "pin"})
            role, pin = self._permitted(_role(args["role"])), secret(args["pin"])
            return Later(_guarded(name, lambda: encoding(self._login(role, pin))), derives=True)
        if name == "login_quorum":
            _names(args, {"role", "cards"})
            role, cards = self._permitted(_role(args["role"])), _cards(args["cards"])
            return Later(_guarded(name, lambda: encoding(self._login_with_cards(role, cards))), derives=True)
        if name == "resume":
            _names(args, {"session"})
            session = sessions.resume(octets(args["session"]))
            self._permitted(session.role)
            self._take(session)
            return encoding(None)
        session = self._alive()
        if name == "logout":
            return Later(_guarded(name, lambda: self._logout(session, encoding)))
        operation = OPERATIONS.get(name)
        if operation is None:
            raise DataInvalid
        if session.role not in operation.roles:
            raise NotLoggedIn
        _names(args, set(operation.fields))
        checked = {field: check(args[field]) for field, check in operation.fields.items()}
        refusal = self._refusal(session, name, operation, checked)
        if not operation.hot or large:
            return Later(_guarded(name, lambda: self._run(operation, session, checked, encoding, refusal)))
        try:
            result = operation.run(self._token, session, **checked)
        except KeyStoreError as error:
            return _refused(error, refusal)
        return Together(result, encoding, refusal) if isinstance(result, Staged) else encoding(result)

    def _run(
        self,
        operation: Operation,
        session: Session,
        checked: dict[str, Any],
        encoding: Callable[[Any], bytes],
        refusal: Callable[[str], Work[Any] | None],
    ) -> bytes:
        store = self._token.store
        try:
            result = operation.run(self._token, session, **checked)
            return encoding(store.carry_out(result) if isinstance(result, Staged) else result)
        except KeyStoreError as error:
            written = refusal(error.code)
            if written is not None:
                store.write(written)
            raise

    def _login(self, role: Role, pin: str) -> bytes:
        session, token = self._token.sessions.login(role, pin)
        self._take(session)
        return token

    def _login_with_cards(self, role: Role, cards: list[str]) -> bytes:
        session, token = self._token.login_with_cards(role, cards)
        self._take(session)
        return token

    def _logout(self, session: Session, encoding: Callable[[Any], bytes]) -> bytes:
        self._token.sessions.logout(session)
        return encoding(None)

    def _permitted(self, role: Role) -> Role:
        if role not in self._allowed:
            raise RoleNotAllowed
        return role

    def _take(self, session: Session) -> None:
        self.close()
        self._token.sessions.attach(session)
        self._session = session

    def _alive(self) -> Session:
        if self._session is None or not self._token.sessions.alive(self._session):
            raise NotLoggedIn
        return self._session

    def _refusal(
        self, session: Session, name: str, operation: Operation, checked: dict[str, Any]
    ) -> Callable[[str], Work[Any] | None]:
        def refusal(code: str) -> Work[Any] | None:
            if operation.subject is None:
                return None
            audit, subject = self._token.audit, _subject(checked[operation.subject])
            return lambda connection: audit.append(connection, session.actor, name, subject, code)

        return refusal


def commit(store: Store, batch: Sequence[Together]) -> tuple[list[bytes | None], int]:
    """Do the work of all in one transaction. The answer for each that was refused; None for each that may finish when
    the commit of this number is on the disk.
    """
    outcomes, number = store.commit([one.staged.work for one in batch])
    answers: list[bytes | None] = [None] * len(batch)
    refusals: list[tuple[int, Work[Any]]] = []
    for at, (one, outcome) in enumerate(zip(batch, outcomes, strict=True)):
        if outcome.error is not None:
            answers[at] = failed("", outcome.error)
            written = one.refusal(outcome.error.code) if isinstance(outcome.error, KeyStoreError) else None
            if written is not None:
                refusals.append((at, written))
    if refusals:
        _write(store, refusals, answers)
    return answers, number


def finish(store: Store, one: Together) -> bytes:
    """After its commit: the answer."""
    try:
        return one.encode(one.staged.finish())
    except Exception as error:
        answers: list[bytes | None] = [failed("", error)]
        written = one.refusal(error.code) if isinstance(error, KeyStoreError) else None
        if written is not None:
            _write(store, [(0, written)], answers)
        return answers[0] or b""


def request_of(request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and arguments of a request; without either, a name that no operation has."""
    name, args = request.get("op"), request.get("args")
    return (name, args) if isinstance(name, str) and isinstance(args, dict) else ("", {})


def error_answer(error: KeyStoreError) -> bytes:
    """An error as the answer."""
    return encode({"error": error_value(error)})


def failed(name: str, error: BaseException) -> bytes:
    """What went wrong, as the answer: in our words, or in one word for all that is internal."""
    if isinstance(error, KeyStoreError):
        return error_answer(error)
    # The kind of error and the operation: a message or traceback could hold what must not be in a log.
    _log.error("operation %.40r failed inside: %s", name, type(error).__name__)
    return error_answer(KeyStoreError())


def _write(store: Store, refusals: list[tuple[int, Work[Any]]], answers: list[bytes | None]) -> None:
    for (at, _), outcome in zip(refusals, store.transact([work for _, work in refusals]), strict=True):
        if outcome.error is not None:
            answers[at] = failed("", outcome.error)


def _refused(error: KeyStoreError, refusal: Callable[[str], Work[Any] | None]) -> bytes | Together:
    """An operation that was refused at once: its row shares a commit, and then it is answered."""
    answer, written = error_answer(error), refusal(error.code)
    if written is None:
        return answer
    return Together(Staged(written, lambda: answer, 0), lambda given: bytes(given), lambda _: None)


def _guarded(name: str, run: Callable[[], bytes]) -> Callable[[], bytes]:
    def guarded() -> bytes:
        try:
            return run()
        except Exception as error:
            return failed(name, error)

    return guarded


def _answer(value: Any) -> bytes:
    return encode({"ok": value})


def _plain_answer(value: Any) -> bytes:
    return encode_values(ANSWER, value)


def _subject(value: object) -> str:
    """What a refusal is about, as the audit log names it: an id, or the hash of a wrapped key."""
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else str(value)


def _cards(value: object) -> list[str]:
    if not isinstance(value, list):
        raise DataInvalid
    return [_card(card) for card in value[: MOST_CARDS + 1]]


def _names(args: dict[str, Any], expected: set[str]) -> None:
    if set(args) != expected:
        raise DataInvalid
