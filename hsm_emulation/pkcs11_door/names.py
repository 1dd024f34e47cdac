"""The numbers of PKCS#11 v2.40 that the door uses, and the calls of p11-kit's protocol (version 0) that it answers."""

from __future__ import annotations

from collections.abc import Mapping

CKU_USER = 1
CKF_RW_SESSION, CKF_SERIAL_SESSION = 0x2, 0x4
CKF_TOKEN_PRESENT = 0x1
CKF_LOGIN_REQUIRED, CKF_USER_PIN_INITIALIZED, CKF_TOKEN_INITIALIZED = 0x4, 0x8, 0x400
CKF_SIGN = 0x800
CKF_EC_NAMED = 0x800000 | 0x1000000  # curves by name, points uncompressed
CK_UNAVAILABLE = (1 << 64) - 1

CKO_PUBLIC_KEY, CKO_PRIVATE_KEY = 2, 3
CKK_RSA, CKK_EC = 0, 3

CKR: Mapping[str, int] = {
    "CKR_OK": 0x0,
    "CKR_SLOT_ID_INVALID": 0x3,
    "CKR_GENERAL_ERROR": 0x5,
    "CKR_FUNCTION_FAILED": 0x6,
    "CKR_ARGUMENTS_BAD": 0x7,
    "CKR_CANT_LOCK": 0xA,
    "CKR_ATTRIBUTE_SENSITIVE": 0x11,
    "CKR_ATTRIBUTE_TYPE_INVALID": 0x12,
    "CKR_ATTRIBUTE_VALUE_INVALID": 0x13,
    "CKR_ACTION_PROHIBITED": 0x1B,
    "CKR_DATA_INVALID": 0x20,
    "CKR_DATA_LEN_RANGE": 0x21,
    "CKR_DEVICE_ERROR": 0x30,
    "CKR_DEVICE_REMOVED": 0x32,
    "CKR_FUNCTION_NOT_SUPPORTED": 0x54,
    "CKR_KEY_HANDLE_INVALID": 0x60,
    "CKR_KEY_TYPE_INCONSISTENT": 0x63,
    "CKR_KEY_FUNCTION_NOT_PERMITTED": 0x68,
    "CKR_KEY_UNEXTRACTABLE": 0x6A,
    "CKR_MECHANISM_INVALID": 0x70,
    "CKR_MECHANISM_PARAM_INVALID": 0x71,
    "CKR_OBJECT_HANDLE_INVALID": 0x82,
    "CKR_OPERATION_ACTIVE": 0x90,
    "CKR_OPERATION_NOT_INITIALIZED": 0x91,
    "CKR_PIN_INCORRECT": 0xA0,
    "CKR_PIN_INVALID": 0xA1,
    "CKR_PIN_LEN_RANGE": 0xA2,
    "CKR_PIN_EXPIRED": 0xA3,
    "CKR_PIN_LOCKED": 0xA4,
    "CKR_SESSION_COUNT": 0xB1,
    "CKR_SESSION_HANDLE_INVALID": 0xB3,
    "CKR_SESSION_PARALLEL_NOT_SUPPORTED": 0xB4,
    "CKR_SESSION_EXISTS": 0xB6,
    "CKR_SIGNATURE_INVALID": 0xC0,
    "CKR_TEMPLATE_INCONSISTENT": 0xD1,
    "CKR_TOKEN_NOT_RECOGNIZED": 0xE1,
    "CKR_USER_ALREADY_LOGGED_IN": 0x100,
    "CKR_USER_NOT_LOGGED_IN": 0x101,
    "CKR_USER_PIN_NOT_INITIALIZED": 0x102,
    "CKR_USER_TYPE_INVALID": 0x103,
    "CKR_WRAPPED_KEY_INVALID": 0x110,
    "CKR_BUFFER_TOO_SMALL": 0x150,
    "CKR_CRYPTOKI_NOT_INITIALIZED": 0x190,
}
"""Return values by name: those of the door, and those that `foundation.keys.errors` names."""

CKA: Mapping[str, int] = {
    "CLASS": 0x0,
    "TOKEN": 0x1,
    "PRIVATE": 0x2,
    "LABEL": 0x3,
    "VALUE": 0x11,
    "TRUSTED": 0x86,
    "KEY_TYPE": 0x100,
    "SUBJECT": 0x101,
    "ID": 0x102,
    "SENSITIVE": 0x103,
    "ENCRYPT": 0x104,
    "DECRYPT": 0x105,
    "WRAP": 0x106,
    "UNWRAP": 0x107,
    "SIGN": 0x108,
    "SIGN_RECOVER": 0x109,
    "VERIFY": 0x10A,
    "VERIFY_RECOVER": 0x10B,
    "DERIVE": 0x10C,
    "START_DATE": 0x110,
    "END_DATE": 0x111,
    "MODULUS": 0x120,
    "MODULUS_BITS": 0x121,
    "PUBLIC_EXPONENT": 0x122,
    "PRIVATE_EXPONENT": 0x123,
    "PRIME_1": 0x124,
    "PRIME_2": 0x125,
    "EXPONENT_1": 0x126,
    "EXPONENT_2": 0x127,
    "COEFFICIENT": 0x128,
    "PUBLIC_KEY_INFO": 0x129,
    "EXTRACTABLE": 0x162,
    "LOCAL": 0x163,
    "NEVER_EXTRACTABLE": 0x164,
    "ALWAYS_SENSITIVE": 0x165,
    "MODIFIABLE": 0x170,
    "COPYABLE": 0x171,
    "EC_PARAMS": 0x180,
    "EC_POINT": 0x181,
    "ALWAYS_AUTHENTICATE": 0x202,
    "WRAP_WITH_TRUSTED": 0x210,
}

# How p11-kit writes an attribute's value follows from its type; what is in neither set is a string of octets.
FLAG_ATTRIBUTES = frozenset(
    {0x1, 0x2, 0x86, *range(0x103, 0x10D), *range(0x162, 0x166), 0x170, 0x171, 0x200, 0x202, 0x210, 0x301, 0x302, 0x405}
)
NUMBER_ATTRIBUTES = frozenset(
    {0x0, 0x80, 0x87, 0x88, 0x100, 0x121, 0x133, 0x134, 0x160, 0x161, 0x166, 0x201, 0x300}
    | {*range(0x400, 0x405), 0x406, 0x500}
)
ARRAY_ATTRIBUTE = 0x40000000  # the bit of attributes that hold attributes or mechanisms

CALLS: Mapping[int, tuple[str, str, str]] = {
    1: ("C_Initialize", "ayyay", ""),
    2: ("C_Finalize", "", ""),
    3: ("C_GetInfo", "", "vsusv"),
    4: ("C_GetSlotList", "yfu", "au"),
    5: ("C_GetSlotInfo", "u", "ssuvv"),
    6: ("C_GetTokenInfo", "u", "ssssuuuuuuuuuuuvvs"),
    7: ("C_GetMechanismList", "ufu", "au"),
    8: ("C_GetMechanismInfo", "uu", "uuu"),
    10: ("C_OpenSession", "uu", "u"),
    11: ("C_CloseSession", "u", ""),
    12: ("C_CloseAllSessions", "u", ""),
    13: ("C_GetSessionInfo", "u", "uuuu"),
    18: ("C_Login", "uuay", ""),
    19: ("C_Logout", "u", ""),
    24: ("C_GetAttributeValue", "uufA", "aAu"),
    26: ("C_FindObjectsInit", "uaA", ""),
    27: ("C_FindObjects", "ufu", "au"),
    28: ("C_FindObjectsFinal", "u", ""),
    42: ("C_SignInit", "uMu", ""),
    43: ("C_Sign", "uayfy", "ay"),
    44: ("C_SignUpdate", "uay", ""),
    45: ("C_SignFinal", "ufy", "ay"),
}
"""By number: name, and the letters (:mod:`hsm_emulation.pkcs11_door.messages`) of its request and of its response."""
