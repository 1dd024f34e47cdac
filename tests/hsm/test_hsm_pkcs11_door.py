"""The PKCS#11 door: other people's programs (OpenSC's pkcs11-tool, OpenSSL's engine) through p11-kit-client.so, and, at
the socket itself, what no program would do.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from foundation.keys.errors import TokenInUse
from foundation.keys.exposed import SocketExposed
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import verify_signature
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, Mechanism
from hsm_emulation.client import HsmClient
from hsm_emulation.pkcs11_door import server
from hsm_emulation.pkcs11_door.names import CALLS, CKR
from hsm_emulation.process import KeyDaemon, Pkcs11Door, initialise
from hsm_emulation.protocol import ERRORS
from tests.hsm.conftest import CHEAP, SO_PIN, USER_PIN, Person, Served
from tests.hsm.p11kit_client import OK, P11KitClient, altered, count, message, octets, u
from tests.programs import path, run

MESSAGE = b"A document of a specimen organisation."
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")  # RFC 8017, SHA-256
SECRETS = (0x11, *range(0x123, 0x129))  # CKA_VALUE, CKA_PRIVATE_EXPONENT, primes, exponents, coefficient
FUZZED = 8.0  # seconds


@dataclass
class Doorway:
    """A token with keys, its daemon, and the door to it."""

    folder: Path
    daemon: KeyDaemon
    door: Pkcs11Door
    client: HsmClient
    keys: dict[str, KeyInfo]

    def tool(self, *args: str, pin: str | None = USER_PIN, check: bool = True) -> CompletedProcess[str]:
        """OpenSC's pkcs11-tool."""
        login = ("--module", path("p11-kit-client.so"), *(() if pin is None else ("--login", "--pin", pin)))
        return run("pkcs11-tool", *login, *args, env=self.environment, check=check)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "P11_KIT_SERVER_ADDRESS": f"unix:path={self.door.socket_path}",
            "PKCS11_MODULE_PATH": str(path("p11-kit-client.so")),
        }

    def file(self, name: str, content: bytes) -> str:
        (self.folder / name).write_bytes(content)
        return str(self.folder / name)

    def verified(self, key: KeyInfo, signature: Path) -> None:
        """openssl verifies it over MESSAGE with SHA-256."""
        pem = load_der_public_key(key.public_key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        given = (self.file("public.pem", pem), "-signature", str(signature), self.file("message", MESSAGE))
        assert "Verified OK" in run("openssl", "dgst", "-sha256", "-verify", *given).stdout

    def open(self) -> int:
        """How many logins of programs are open; this object's own client has one."""
        done = [row["action"] for row in self.client.audit_entries() if row["outcome"] == "done"]
        return done.count("login") - done.count("logout") - 1

    def all_ended(self) -> bool:
        """Whether no program's login is open, or soon is none: that of a program which left ends a moment later."""
        end = time.monotonic() + 20
        while self.open() and time.monotonic() < end:
            time.sleep(0.02)
        return not self.open()


@pytest.fixture(scope="module")
def doorway() -> Iterator[Doorway]:
    """Two seals, a CA and a key that is not shown."""
    folder = Path(tempfile.mkdtemp(prefix="camtrust-door-"))
    initialise(folder / "token", SO_PIN, USER_PIN, costs=CHEAP)
    with KeyDaemon.start(folder / "token", "--workers=1") as daemon, HsmClient(daemon.socket_path) as client:
        client.login(USER_PIN)
        keys = {
            label: client.generate(label, algorithm, use)
            for label, algorithm, use in (
                ("seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL),
                ("seal-521", KeyAlgorithm.EC_P521, KeyUse.ORGANISATION_SEAL),
                ("seal-rsa", KeyAlgorithm.RSA_2048, KeyUse.ORGANISATION_SEAL),
                ("seal-ed", KeyAlgorithm.ED25519, KeyUse.ORGANISATION_SEAL),
                ("ca", KeyAlgorithm.EC_P256, KeyUse.ISSUING_CA),
            )
        }
        with Pkcs11Door.start(daemon.socket_path, folder / "door" / "p11.sock") as door:
            yield Doorway(folder, daemon, door, client, keys)
    shutil.rmtree(folder)


def test_pkcs11_tool_lists_slot_and_keys(doorway: Doorway) -> None:
    """pkcs11-tool shows the token, that it is emulated, and each RSA and ECDSA key as a public and a private object."""
    slots = doorway.tool("--list-slots", pin=None).stdout
    assert "emulated" in slots
    assert doorway.client.status()["serial"][:16] in slots
    listed = doorway.tool("--list-objects").stdout
    for label in ("seal", "seal-521", "seal-rsa", "ca"):
        assert listed.count(f"ID:         {doorway.keys[label].key_id}") == 2
    assert doorway.keys["seal-ed"].key_id not in listed
    assert listed.count("sensitive, always sensitive, never extractable, local") == 4


def test_nothing_is_told_without_a_login(doorway: Doorway) -> None:
    """Without C_Login, and after C_Logout, there is a token and no object, not even a public one; nothing is signed."""
    assert "Object" not in doorway.tool("--list-objects", pin=None).stdout
    with P11KitClient(doorway.door.socket_path) as program:
        session = program.session()
        assert program.find(session) == []
        assert program.sign_init(session, 0x1041, 2) == CKR["CKR_USER_NOT_LOGGED_IN"]
        label = u(session) + u(1) + count(1) + count(3) + count(9)
        assert program.call(24, b"uufA", label)[0] == CKR["CKR_OBJECT_HANDLE_INVALID"]
        assert program.login(session, USER_PIN) == OK
        assert program.find(session)
        assert program.call(24, b"uufA", label)[0] == OK
        assert program.call(19, b"u", u(session))[0] == OK
        assert program.find(session) == []
        assert program.call(24, b"uufA", label)[0] == CKR["CKR_OBJECT_HANDLE_INVALID"]


@pytest.mark.parametrize(
    ("label", "mechanism", "data"),
    [
        ("seal", "ECDSA", hashlib.sha256(MESSAGE).digest()),
        ("seal-521", "ECDSA", hashlib.sha256(MESSAGE).digest()),
        ("seal-rsa", "SHA256-RSA-PKCS", MESSAGE),
        ("seal-rsa", "RSA-PKCS", DIGEST_INFO + hashlib.sha256(MESSAGE).digest()),
    ],
)
def test_pkcs11_tool_signs(doorway: Doorway, label: str, mechanism: str, data: bytes) -> None:
    """What pkcs11-tool has signed, openssl verifies."""
    key, written = doorway.keys[label], doorway.folder / "signature"
    files = ("--input-file", doorway.file("data", data), "--output-file", str(written))
    doorway.tool("--sign", "--mechanism", mechanism, "--id", key.key_id, "--signature-format", "openssl", *files)
    doorway.verified(key, written)


@pytest.mark.parametrize("label", ["seal", "seal-rsa"])
def test_openssl_engine_signs(doorway: Doorway, label: str) -> None:
    """OpenSSL's pkcs11 engine finds a key by its label, logs in and signs."""
    engines = path("engines-3/pkcs11.so").parent
    run(
        *("openssl", "pkeyutl", "-sign", "-engine", "pkcs11", "-keyform", "engine"),
        *("-inkey", f"pkcs11:object={label};type=private?pin-value={USER_PIN}", "-pkeyopt", "digest:sha256"),
        *("-in", doorway.file("digest", hashlib.sha256(MESSAGE).digest()), "-out", str(doorway.folder / "signed")),
        env={**doorway.environment, "OPENSSL_ENGINES": str(engines)},
    )
    doorway.verified(doorway.keys[label], doorway.folder / "signed")


def test_a_wrong_pin_is_told_as_such(doorway: Doorway) -> None:
    """The token's refusal reaches the program; a right PIN works afterwards."""
    done = doorway.tool("--list-objects", pin="another-specimen", check=False)
    assert done.returncode != 0
    assert "CKR_PIN_INCORRECT" in done.stderr
    assert doorway.keys["seal"].key_id in doorway.tool("--list-objects").stdout


def test_a_ca_key_signs_no_message_of_a_program(doorway: Doorway) -> None:
    """The token's policy holds at this door too: a CA key signs neither a digest nor an arbitrary message."""
    digest = doorway.file("digest", hashlib.sha256(MESSAGE).digest())
    asked = ("--sign", "--mechanism", "ECDSA", "--id", doorway.keys["ca"].key_id, "--input-file", digest)
    done = doorway.tool(*asked, "--output-file", str(doorway.folder / "refused"), check=False)
    assert done.returncode != 0
    assert not (doorway.folder / "refused").exists() or not (doorway.folder / "refused").read_bytes()
    with P11KitClient(doorway.door.socket_path) as program:
        session = program.session()
        assert program.login(session, USER_PIN) == OK
        (key,) = program.find(session, label=b"ca", kind=b"\3")
        for mechanism, data, refusal in (
            (0x1044, MESSAGE, "CKR_KEY_FUNCTION_NOT_PERMITTED"),
            (0x1041, hashlib.sha256(MESSAGE).digest(), "CKR_MECHANISM_INVALID"),
        ):
            assert program.sign_init(session, mechanism, key) == OK
            assert program.sign(session, data)[0] == CKR[refusal]


def test_no_call_gives_a_private_key(doorway: Doorway) -> None:
    """Every secret attribute is sensitive, for EC and RSA; what would wrap, copy, change or make keys is not there."""
    with P11KitClient(doorway.door.socket_path) as program:
        session = program.session()
        assert program.login(session, USER_PIN) == OK
        for key in program.find(session, kind=b"\3"):
            for secret in SECRETS:
                asked = u(session) + u(key) + count(1) + count(secret) + count(4096)
                value, held = program.call(24, b"uufA", asked)
                assert (value, held) == (OK, count(1) + count(secret) + b"\0" + u(0x11))  # CKR_ATTRIBUTE_SENSITIVE
            exported = program.call(24, b"uufA", u(session) + u(key) + count(1) + count(0x162) + count(1))
            assert exported == (OK, count(1) + count(0x162) + b"\1" + count(1) + b"\0" + u(OK))
        others = [number for number in range(1, 120) if number not in CALLS]
        for number in others:
            assert program.call(number, b"uuuu", bytes(64))[0] == CKR["CKR_FUNCTION_NOT_SUPPORTED"]
        assert {9, 20, 21, 22, 25, 58, 59, 60, 61, 62} <= set(others)  # C_InitToken ... C_WrapKey, C_DeriveKey


def test_a_message_in_parts_and_the_length_first(doorway: Doorway) -> None:
    """C_SignUpdate and C_SignFinal sign the parts together; asking for the length alone leaves the operation."""
    key = doorway.keys["seal"]
    with P11KitClient(doorway.door.socket_path) as program:
        session = program.session()
        assert program.login(session, USER_PIN) == OK
        (handle,) = program.find(session, label=b"seal", kind=b"\3")
        assert program.sign_init(session, 0x1044, handle) == OK
        for part in (MESSAGE[:7], MESSAGE[7:]):
            assert program.call(44, b"uay", u(session) + octets(part))[0] == OK
        assert program.call(45, b"ufy", u(session) + count(0)) == (OK, b"\0" + count(64))
        assert program.call(45, b"ufy", u(session) + count(63)) == (OK, b"\0" + count(64))
        value, held = program.call(45, b"ufy", u(session) + count(64))
        assert (value, len(held)) == (OK, 5 + 64)
        numbers = (int.from_bytes(held[at : at + 32], "big") for at in (5, 37))
        verify_signature(public_key(key), Mechanism.ECDSA_SHA256, encode_dss_signature(*numbers), MESSAGE)
        assert program.call(45, b"ufy", u(session) + count(64))[0] == CKR["CKR_OPERATION_NOT_INITIALIZED"]


def test_pss_as_the_token_has_it_and_no_other(doorway: Doorway) -> None:
    """RSA-PSS signs with the hash's own MGF1 and salt; other parameters are refused before anything is signed."""
    with P11KitClient(doorway.door.socket_path) as program:
        session = program.session()
        assert program.login(session, USER_PIN) == OK
        (handle,) = program.find(session, label=b"seal-rsa", kind=b"\3")
        for wrong in ((0x250, 2, 20), (0x250, 1, 32), (0x260, 3, 48), (0x220, 1, 20)):
            given = b"".join(u(number) for number in wrong)
            assert program.sign_init(session, 0x43, handle, given) == CKR["CKR_MECHANISM_PARAM_INVALID"]
        assert program.sign_init(session, 0x43, handle, u(0x250) + u(2) + u(32)) == OK
        value, signature = program.sign(session, MESSAGE)
        assert value == OK
        verify_signature(public_key(doorway.keys["seal-rsa"]), Mechanism.SHA256_RSA_PKCS_PSS, signature, MESSAGE)
        assert program.sign_init(session, 0x1041, handle) == CKR["CKR_KEY_TYPE_INCONSISTENT"]


def test_the_login_ends_with_the_program(doorway: Doorway) -> None:
    """C_Logout, the last session, and a program that is killed each end the login in the token; others' go on."""
    ways = (
        lambda program, session: program.call(19, b"u", u(session)),
        lambda program, session: program.call(11, b"u", u(session)),
        lambda program, _: program.close(),
    )
    for way in ways:
        assert doorway.all_ended()
        with P11KitClient(doorway.door.socket_path) as program:
            session = program.session()
            assert program.login(session, USER_PIN) == OK
            assert program.login(session, USER_PIN) == CKR["CKR_USER_ALREADY_LOGGED_IN"]
            (handle,) = program.find(session, label=b"seal", kind=b"\3")
            assert program.sign_init(session, 0x1041, handle) == OK
            assert doorway.open() == 1
            way(program, session)
            assert doorway.all_ended()
            with suppress(OSError):
                assert program.sign(session, bytes(32))[0] != OK
    assert doorway.client.sign(doorway.keys["seal"].key_id, Mechanism.ECDSA, bytes(32))


def test_persons_keys_are_not_shown(served: Served, person: Person) -> None:
    """A citizen's signing key, whose every signature its owner approves, is no object of a program."""
    key = person.key()
    served.client.generate("seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    place = served.directory.parent / "door" / "p11.sock"
    with Pkcs11Door.start(served.daemon.socket_path, place), P11KitClient(place) as program:
        session = program.session()
        assert program.login(session, USER_PIN) == OK
        assert len(program.find(session)) == 2
        assert program.find(session, label=key.label.encode()) == []


def test_only_this_user_and_root_come_in(doorway: Doorway, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket is its owner's alone (0600 in 0700), and whoever the kernel says is another user is not greeted."""
    there = doorway.door.socket_path
    assert [stat.S_IMODE(one.stat().st_mode) for one in (there, there.parent)] == [0o600, 0o700]
    greeted = []
    for uid in (os.geteuid(), os.geteuid() + 4711):
        monkeypatch.setattr(server, "peer", lambda _, uid=uid: uid)
        door = server.Door(doorway.daemon.socket_path, doorway.folder / "other" / "p11.sock")
        thread = threading.Thread(target=door.serve)
        thread.start()
        try:
            with suppress(ConnectionError), P11KitClient(door.path, initialize=False) as program:
                greeted.append(program.greeting)
        finally:
            door.stop()
            thread.join(20)
        assert not thread.is_alive()
    assert greeted[0] == b"\0"
    assert greeted[1:] in ([], [b""])


def test_where_a_door_may_listen(doorway: Doorway) -> None:
    """Not in a directory that others may enter, nor where one listens; a socket that a killed door left is no bar."""
    with pytest.raises(TokenInUse):
        Pkcs11Door.start(doorway.daemon.socket_path, doorway.door.socket_path)
    public = doorway.folder / "public"
    public.mkdir(mode=0o755)
    with pytest.raises(SocketExposed):
        Pkcs11Door.start(doorway.daemon.socket_path, public / "p11.sock")
    left = doorway.folder / "left" / "p11.sock"
    left.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(str(left))
    with Pkcs11Door.start(doorway.daemon.socket_path, left) as door, P11KitClient(door.socket_path) as program:
        assert program.session()


def test_a_door_that_is_killed_harms_nobody(doorway: Doorway) -> None:
    """It holds no key: the daemon signs on for others, and a new door at the same place works."""
    place = doorway.folder / "killed" / "p11.sock"
    with Pkcs11Door.start(doorway.daemon.socket_path, place) as door, P11KitClient(place) as program:
        session = program.session()
        assert program.login(session, USER_PIN) == OK
        os.kill(door.pid, 9)
        with pytest.raises(ConnectionError):
            program.find(session)
    assert doorway.client.sign(doorway.keys["seal"].key_id, Mechanism.ECDSA, bytes(32))
    with Pkcs11Door.start(doorway.daemon.socket_path, place), P11KitClient(place) as program:
        assert program.login(program.session(), USER_PIN) == OK


def test_every_refusal_of_the_token_has_its_number() -> None:
    """No return value that `foundation.keys.errors` names is missing in the door's table."""
    assert {one.ckr for one in ERRORS.values()} <= set(CKR)


def test_malformed_octets_end_their_connection_alone(doorway: Doorway) -> None:
    """A frame of no number, a length beyond the cap, letters of another call, a cut message: the connection ends."""
    bad = (
        count(0) + count(0) + count(4) + count(3),
        count(7) + count(0) + count(1 << 21),
        count(7) + count(1 << 20) + count(4),
        *(count(7) + count(0) + count(len(one)) + one for one in (message(10, b"uuu", bytes(24)), b"\0\0")),
        count(7) + count(0) + count(13) + message(10, b"uu", bytes(3)),
        count(7) + count(0) + count(30) + message(10, b"uu", bytes(20)),
    )
    with P11KitClient(doorway.door.socket_path) as honest:
        for one in bad:
            with P11KitClient(doorway.door.socket_path) as program:
                program.plug.sendall(one)
                with suppress(ConnectionResetError):
                    assert program.plug.recv(1) == b""
            assert honest.session()


def test_fuzz_beside_an_honest_program(doorway: Doorway) -> None:
    """Altered, cut and made-up messages, as strangers and logged in, while an honest program logs in and signs."""
    end, wrong, signed = time.monotonic() + FUZZED, [], []

    def send(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 (the same each time)
        while time.monotonic() < end:
            with suppress(OSError), P11KitClient(doorway.door.socket_path) as program:
                session = program.session()
                if seed % 2:
                    program.login(session, USER_PIN)
                for _ in range(chance.randrange(1, 40)):
                    value, _ = program.send(altered(chance, session))
                    if value in (CKR["CKR_GENERAL_ERROR"], CKR["CKR_FUNCTION_FAILED"]):
                        wrong.append(value)

    senders = [threading.Thread(target=send, args=(seed,)) for seed in range(3)]
    for one in senders:
        one.start()
    digest = hashlib.sha256(MESSAGE).digest()
    while time.monotonic() < end:
        with P11KitClient(doorway.door.socket_path) as program:
            session = program.session()
            assert program.login(session, USER_PIN) == OK
            (handle,) = program.find(session, label=b"seal", kind=b"\3")
            assert program.sign_init(session, 0x1041, handle) == OK
            value, signature = program.sign(session, digest)
            assert value == OK
            numbers = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
            signed.append(encode_dss_signature(*numbers))
    for one in senders:
        one.join(30)
    for signature in signed:
        verify_signature(public_key(doorway.keys["seal"]), Mechanism.ECDSA, signature, digest)
    assert signed
    assert not wrong
    assert doorway.door.alive
    assert doorway.daemon.alive
