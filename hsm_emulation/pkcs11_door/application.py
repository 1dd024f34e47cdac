"""One PKCS#11 program: its sessions, its login, what it looks for and what it signs.

PKCS#11 logs a program in, not a session of it: one login to the token for one connection. It ends at C_Logout, with the
last session, at C_Finalize, or when the connection does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from foundation.keys.errors import KeyStoreError, NotLoggedIn
from foundation.keys.port import KeyInfo
from hsm_emulation.client import HsmClient
from hsm_emulation.pkcs11_door.mechanisms import OFFERED, Offered, signature_form, signature_size
from hsm_emulation.pkcs11_door.messages import Length, MechanismAsked, Refused, Value, size_of
from hsm_emulation.pkcs11_door.names import (
    CALLS,
    CK_UNAVAILABLE,
    CKF_EC_NAMED,
    CKF_LOGIN_REQUIRED,
    CKF_RW_SESSION,
    CKF_SERIAL_SESSION,
    CKF_SIGN,
    CKF_TOKEN_INITIALIZED,
    CKF_TOKEN_PRESENT,
    CKF_USER_PIN_INITIALIZED,
    CKR,
    CKU_USER,
)
from hsm_emulation.pkcs11_door.objects import SENSITIVE, Attributes, matches, private_object, public_object, shown

SLOT = 1
_VERSION, _CRYPTOKI = (1, 0), (2, 40)
_MAKER, _LABEL = "CamTrust (emulated)", "CamTrust emulated HSM"
_SESSIONS = 64  # of one program
_LONGEST_MESSAGE = 1 << 24
_HANDSHAKE = b"PRIVATE-GNOME-KEYRING-PKCS11-PROTOCOL-V-1"


@dataclass
class _Signing:
    key: KeyInfo
    offered: Offered
    parameters: tuple[int, ...] | None
    message: bytearray = field(default_factory=bytearray)
    in_parts: bool = False


@dataclass
class _Session:
    flags: int
    found: list[int] | None = None
    signing: _Signing | None = None


class Application:
    """``client``: for this program alone. Its calls are the methods named as PKCS#11 has them, less ``C_``."""

    def __init__(self, client: HsmClient) -> None:
        self._client = client
        self._initialized = self._logged_in = False
        self._sessions: dict[int, _Session] = {}
        self._last = 0
        self._keys: list[KeyInfo] = []
        self._places: dict[str, int] = {}  # of keys in that list, which a handle names: 2n+1 public, 2n+2 private
        self._calls: dict[str, Callable[..., Sequence[Any]]] = {
            "C_Initialize": self._initialize,
            "C_Finalize": self._finalize,
            "C_GetInfo": self._info,
            "C_GetSlotList": self._slot_list,
            "C_GetSlotInfo": self._slot_info,
            "C_GetTokenInfo": self._token_info,
            "C_GetMechanismList": self._mechanism_list,
            "C_GetMechanismInfo": self._mechanism_info,
            "C_OpenSession": self._open_session,
            "C_CloseSession": self._close_session,
            "C_CloseAllSessions": self._close_all_sessions,
            "C_GetSessionInfo": self._session_info,
            "C_Login": self._login,
            "C_Logout": self._logout,
            "C_GetAttributeValue": self._attribute_value,
            "C_FindObjectsInit": self._find_objects_init,
            "C_FindObjects": self._find_objects,
            "C_FindObjectsFinal": self._find_objects_final,
            "C_SignInit": self._sign_init,
            "C_Sign": self._sign,
            "C_SignUpdate": self._sign_update,
            "C_SignFinal": self._sign_final,
        }

    def call(self, number: int, arguments: Sequence[Any]) -> Sequence[Any]:
        """One of CALLS. Gives the values of its answer. Refused, with the return value."""
        name = CALLS[number][0]
        if not self._initialized and name != "C_Initialize":
            raise Refused("CKR_CRYPTOKI_NOT_INITIALIZED")
        try:
            return self._calls[name](*arguments)
        except NotLoggedIn:
            self._forget()  # the token knows the session no more: it was locked, or started again
            raise Refused(NotLoggedIn.ckr) from None
        except KeyStoreError as error:
            raise Refused(error.ckr if error.ckr in CKR else "CKR_FUNCTION_FAILED") from None

    def close(self) -> None:
        """Log out and let the connection to the token go."""
        self._forget()
        self._client.close()

    # -- the library and its one slot

    def _initialize(self, handshake: bytes, _given: int, _reserved: bytes) -> Sequence[Any]:
        if handshake != _HANDSHAKE:
            raise Refused("CKR_ARGUMENTS_BAD")
        self._initialized = True
        return ()

    def _finalize(self) -> Sequence[Any]:
        self._end_login()
        self._sessions.clear()
        self._initialized = False
        return ()

    def _info(self) -> Sequence[Any]:
        return _CRYPTOKI, _padded(_MAKER, 32), 0, _padded("CamTrust PKCS#11 door", 32), _VERSION

    def _slot_list(self, with_token: int, room: int | None) -> Sequence[Any]:
        return (_numbers([SLOT] if not with_token or self._present() else [], room),)

    def _slot_info(self, slot: int) -> Sequence[Any]:
        _slot(slot)
        flags = CKF_TOKEN_PRESENT if self._present() else 0
        return _padded("CamTrust key daemon", 64), _padded(_MAKER, 32), flags, _VERSION, _VERSION

    def _token_info(self, slot: int) -> Sequence[Any]:
        _slot(slot)
        serial = str(self._client.status()["serial"])
        flags = CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED | CKF_TOKEN_INITIALIZED
        texts = (_padded(_LABEL, 32), _padded(_MAKER, 32), _padded("emulated HSM", 16), _padded(serial, 16))
        sessions = (_SESSIONS, len(self._sessions), _SESSIONS, CK_UNAVAILABLE)
        return *texts, flags, *sessions, 255, 1, *[CK_UNAVAILABLE] * 4, _VERSION, _VERSION, _padded("", 16)

    def _mechanism_list(self, slot: int, room: int | None) -> Sequence[Any]:
        _slot(slot)
        return (_numbers(list(OFFERED), room),)

    def _mechanism_info(self, slot: int, number: int) -> Sequence[Any]:
        _slot(slot)
        offered = _offered(number)
        return *offered.sizes(), CKF_SIGN | (CKF_EC_NAMED if offered.elliptic else 0)

    def _present(self) -> bool:
        try:
            self._client.status()
        except KeyStoreError:
            return False
        return True

    # -- sessions

    def _open_session(self, slot: int, flags: int) -> Sequence[Any]:
        _slot(slot)
        if not flags & CKF_SERIAL_SESSION:
            raise Refused("CKR_SESSION_PARALLEL_NOT_SUPPORTED")
        if len(self._sessions) >= _SESSIONS:
            raise Refused("CKR_SESSION_COUNT")
        self._last += 1
        self._sessions[self._last] = _Session(flags & (CKF_SERIAL_SESSION | CKF_RW_SESSION))
        return (self._last,)

    def _close_session(self, handle: int) -> Sequence[Any]:
        self._session(handle)
        del self._sessions[handle]
        if not self._sessions:
            self._end_login()
        return ()

    def _close_all_sessions(self, slot: int) -> Sequence[Any]:
        _slot(slot)
        self._sessions.clear()
        self._end_login()
        return ()

    def _session_info(self, handle: int) -> Sequence[Any]:
        flags = self._session(handle).flags
        state = (2 if flags & CKF_RW_SESSION else 0) + self._logged_in  # CKS_RO_PUBLIC_SESSION and those after it
        return SLOT, state, flags, 0

    def _login(self, handle: int, user: int, pin: bytes) -> Sequence[Any]:
        self._session(handle)
        if user != CKU_USER:
            raise Refused("CKR_USER_TYPE_INVALID")
        if self._logged_in:
            raise Refused("CKR_USER_ALREADY_LOGGED_IN")
        try:
            written = pin.decode()
        except UnicodeDecodeError:
            raise Refused("CKR_PIN_INCORRECT") from None
        self._client.login(written)
        self._logged_in = True
        return ()

    def _logout(self, handle: int) -> Sequence[Any]:
        self._session(handle)
        self._need_login()
        self._end_login()
        return ()

    def _end_login(self) -> None:
        if self._logged_in:
            self._forget()
            self._client.logout()

    def _forget(self) -> None:
        self._logged_in = False
        self._keys.clear()
        self._places.clear()
        for session in self._sessions.values():
            session.found = session.signing = None

    def _need_login(self) -> None:
        if not self._logged_in:
            raise Refused("CKR_USER_NOT_LOGGED_IN")

    def _session(self, handle: int) -> _Session:
        try:
            return self._sessions[handle]
        except KeyError:
            raise Refused("CKR_SESSION_HANDLE_INVALID") from None

    # -- objects

    def _find_objects_init(self, handle: int, template: list[tuple[int, Value | None]]) -> Sequence[Any]:
        session = self._session(handle)
        if session.found is not None:
            raise Refused("CKR_OPERATION_ACTIVE")
        if self._logged_in:
            self._read_keys()
        everything = [at for place in range(len(self._keys)) for at in (2 * place + 1, 2 * place + 2)]
        session.found = [at for at in everything if matches(self._object(at), template)]
        return ()

    def _find_objects(self, handle: int, room: int | None) -> Sequence[Any]:
        session = self._session(handle)
        if session.found is None:
            raise Refused("CKR_OPERATION_NOT_INITIALIZED")
        given, session.found = session.found[: room or 0], session.found[room or 0 :]
        return (given,)

    def _find_objects_final(self, handle: int) -> Sequence[Any]:
        session = self._session(handle)
        if session.found is None:
            raise Refused("CKR_OPERATION_NOT_INITIALIZED")
        session.found = None
        return ()

    def _attribute_value(self, handle: int, at: int, asked: list[tuple[int, int | None]]) -> Sequence[Any]:
        self._session(handle)
        attributes, private = self._object(at), at % 2 == 0
        result, told = "CKR_OK", []
        for kind, room in asked:
            value = attributes.get(kind)
            if value is None:
                result = "CKR_ATTRIBUTE_SENSITIVE" if private and kind in SENSITIVE else "CKR_ATTRIBUTE_TYPE_INVALID"
            elif room is not None and room < size_of(value):
                result = "CKR_BUFFER_TOO_SMALL"
            told.append((kind, value))
        return told, CKR[result]

    def _read_keys(self) -> None:
        for key in self._client.find():
            if shown(key):
                if key.key_id in self._places:
                    self._keys[self._places[key.key_id]] = key
                else:
                    self._places[key.key_id] = len(self._keys)
                    self._keys.append(key)

    def _object(self, at: int) -> Attributes:
        place, private = divmod(at - 1, 2)
        if not 0 <= place < len(self._keys):
            raise Refused("CKR_OBJECT_HANDLE_INVALID")
        return private_object(self._keys[place]) if private else public_object(self._keys[place])

    # -- signing

    def _sign_init(self, handle: int, mechanism: MechanismAsked, at: int) -> Sequence[Any]:
        session = self._session(handle)
        self._need_login()
        if session.signing is not None:
            raise Refused("CKR_OPERATION_ACTIVE")
        place, private = divmod(at - 1, 2)
        if not (private and 0 <= place < len(self._keys)):
            raise Refused("CKR_KEY_HANDLE_INVALID")
        key, offered = self._keys[place], _offered(mechanism.number)
        if not offered.fits(key.algorithm):
            raise Refused("CKR_KEY_TYPE_INCONSISTENT")
        if not offered.takes(mechanism.parameters):
            raise Refused("CKR_MECHANISM_PARAM_INVALID")
        session.signing = _Signing(key, offered, mechanism.parameters)
        return ()

    def _sign(self, handle: int, data: bytes, room: int | None) -> Sequence[Any]:
        session, signing = self._signing(handle)
        if signing.in_parts:
            session.signing = None
            raise Refused("CKR_OPERATION_ACTIVE")
        return (self._signature(session, signing, data, room),)

    def _sign_update(self, handle: int, part: bytes) -> Sequence[Any]:
        session, signing = self._signing(handle)
        signing.in_parts = True
        if not signing.offered.takes_message or len(signing.message) + len(part) > _LONGEST_MESSAGE:
            session.signing = None
            raise Refused("CKR_DATA_LEN_RANGE" if signing.offered.takes_message else "CKR_FUNCTION_NOT_SUPPORTED")
        signing.message += part
        return ()

    def _sign_final(self, handle: int, room: int | None) -> Sequence[Any]:
        session, signing = self._signing(handle)
        return (self._signature(session, signing, bytes(signing.message), room),)

    def _signing(self, handle: int) -> tuple[_Session, _Signing]:
        session = self._session(handle)
        if session.signing is None:
            raise Refused("CKR_OPERATION_NOT_INITIALIZED")
        return session, session.signing

    def _signature(self, session: _Session, signing: _Signing, data: bytes, room: int | None) -> bytes | Length:
        """The signature, or, where there is no room for it, its length: then the operation goes on."""
        key, offered = signing.key, signing.offered
        size = signature_size(key.algorithm)
        if room is None or room < size:
            return Length(size)
        session.signing = None
        ours = self._client.sign(key.key_id, offered.mechanism, offered.data(data, signing.parameters))
        return signature_form(key.algorithm, ours)


def _padded(text: str, width: int) -> bytes:
    return text.encode()[:width].ljust(width)


def _numbers(values: list[int], room: int | None) -> list[int] | Length:
    return Length(len(values)) if room is None or room < len(values) else values


def _slot(number: int) -> None:
    if number != SLOT:
        raise Refused("CKR_SLOT_ID_INVALID")


def _offered(number: int) -> Offered:
    try:
        return OFFERED[number]
    except KeyError:
        raise Refused("CKR_MECHANISM_INVALID") from None
