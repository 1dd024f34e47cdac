"""The door for other machines: TLS 1.3, both sides known by their very certificates; on loopback."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from foundation.keys.errors import RoleNotAllowed, TokenUnavailable
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import verify_signature
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from hsm_emulation.client import HsmClient
from hsm_emulation.process import KeyDaemon, initialise
from hsm_emulation.tls import TlsIdentity
from tests.hsm.conftest import CHEAP, SO_PIN, USER_PIN
from tests.ports import free_port

SIGN = Mechanism.ECDSA_SHA256


@dataclass
class Party:
    """A certificate and its key, in files."""

    certificate: Path
    key_file: Path
    key: ec.EllipticCurvePrivateKey
    name: x509.Name


def party(folder: Path, word: str, issuer: Party | None = None) -> Party:
    """Self-signed, or issued by another."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"SPECIMEN {word}")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.name if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )
    made = Party(folder / f"{word}.pem", folder / f"{word}.key", key, name)
    made.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    made.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made


@dataclass
class Door:
    """A daemon with a door, and who knows it."""

    daemon: KeyDaemon
    port: int
    folder: Path
    server: Party
    services: Party
    auditor: Party

    def client(self, who: Party, server: Party | None = None) -> HsmClient:
        identity = TlsIdentity(who.certificate, who.key_file, (server or self.server).certificate)
        return HsmClient(f"tls://127.0.0.1:{self.port}", tls=identity, timeout=20)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    initialise(tmp_path / "token", SO_PIN, USER_PIN, costs=CHEAP)
    server, services, auditor = (party(tmp_path, word) for word in ("daemon", "services", "auditor"))
    port = free_port()
    options = (
        *(f"--tls=127.0.0.1:{port}", f"--tls-certificate={server.certificate}", f"--tls-key={server.key_file}"),
        *(f"--tls-allow=user={services.certificate}", f"--tls-allow=auditor={auditor.certificate}", "--workers=2"),
    )
    with KeyDaemon.start(tmp_path / "token", *options) as daemon:
        yield Door(daemon, port, tmp_path, server, services, auditor)


def test_an_allowed_certificate_signs(door: Door) -> None:
    """The services' certificate logs in as user, makes a key and signs, small, large, and many at once."""
    with door.client(door.services) as client:
        client.login(USER_PIN)
        key = client.generate("key", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
        for data in (b"x", bytes(3 << 20)):
            verify_signature(public_key(key), SIGN, client.sign(key.key_id, SIGN, data), data)
        assert len(client.sign_many(key.key_id, SIGN, [b"x"] * 500)) == 500
        assert client.status()["emulated"] is True


def test_a_certificate_takes_its_role_and_no_other(door: Door) -> None:
    """The services may not be SO; the auditor's certificate may not be user, whatever the PIN."""
    with HsmClient(door.daemon.socket_path) as officer:
        officer.login(SO_PIN, "so")
        officer.set_auditor_pin("auditor-pin-1")
    with door.client(door.services) as client, pytest.raises(RoleNotAllowed):
        client.login(SO_PIN, "so")
    with door.client(door.auditor) as client:
        with pytest.raises(RoleNotAllowed):
            client.login(USER_PIN)
        client.login("auditor-pin-1", "auditor")
        assert client.verify_audit() > 0


def test_a_session_of_the_socket_is_not_resumed_in_a_role_that_is_not_allowed(door: Door) -> None:
    """Whoever stole a user's session token does not use it with the auditor's certificate."""
    with HsmClient(door.daemon.socket_path) as user:
        user.login(USER_PIN)
        thief = door.client(door.auditor)
        thief._session = user._session
        with pytest.raises(RoleNotAllowed):
            thief.find()


def test_no_other_certificate_is_let_in(door: Door) -> None:
    """A stranger's, and one that an allowed certificate has issued: refused before a word."""
    for who in (party(door.folder, "stranger"), party(door.folder, "issued", door.services)):
        with pytest.raises(TokenUnavailable):
            door.client(who).login(USER_PIN)


def test_without_a_certificate_or_with_an_old_tls_nobody_is_let_in(door: Door) -> None:
    """No certificate; TLS 1.2; no TLS at all: no octet of an answer."""
    none = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    none.check_hostname, none.verify_mode = False, ssl.CERT_NONE
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.load_cert_chain(door.services.certificate, door.services.key_file)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    for context in (none, old):
        heard = b""
        with suppress(OSError), context.wrap_socket(socket.create_connection(("127.0.0.1", door.port), 20)) as plug:
            plug.sendall(b"\0\0\0\x1c" + b'{"op":"status","args":{}}   ')
            heard = plug.recv(100)
        assert heard == b""
    with socket.create_connection(("127.0.0.1", door.port), 20) as plain:
        plain.sendall(b"\0\0\0\x1c" + b'{"op":"status","args":{}}   ')
        with suppress(ConnectionResetError):
            assert b"emulated" not in plain.recv(1000)


def test_a_client_talks_to_its_own_daemon_alone(door: Door) -> None:
    """The client expects another daemon's certificate: it says nothing, and no PIN leaves."""
    other = party(door.folder, "other-daemon")
    with pytest.raises(TokenUnavailable):
        door.client(door.services, other).login(USER_PIN)
    issuing = party(door.folder, "issuing")
    with pytest.raises(TokenUnavailable):
        door.client(door.services, issuing).login(USER_PIN)


def test_the_door_can_be_killed_and_is_there_again(door: Door) -> None:
    """The process that speaks TLS is killed: it is replaced, sessions go on, and the socket never notices."""
    with door.client(door.services) as client:
        client.login(USER_PIN)
        children = Path(f"/proc/{door.daemon.pid}/task/{door.daemon.pid}/children").read_text().split()
        assert len(children) == 4  # two workers, who waits for the disk, the door
        [gateway] = [int(one) for one in children if _listens(int(one), door.port)]
        os.kill(gateway, signal.SIGKILL)
        for _ in range(1200):  # a minute: it is a new process
            try:
                assert client.find(label="nothing") == ()
                break
            except TokenUnavailable:
                time.sleep(0.05)
        else:
            pytest.fail("the door did not come back")


def test_a_door_without_certificates_is_not_opened(tmp_path: Path) -> None:
    """Options that are not complete, or a file that holds no certificate: the daemon does not start."""
    initialise(tmp_path / "token", SO_PIN, USER_PIN, costs=CHEAP)
    (tmp_path / "empty.pem").write_text("")
    for options in (("--tls=127.0.0.1:1",), ("--tls=127.0.0.1:1", *_files(tmp_path / "empty.pem"))):
        with pytest.raises(TokenUnavailable):
            KeyDaemon.start(tmp_path / "token", *options)


def _files(path: Path) -> tuple[str, ...]:
    return (f"--tls-certificate={path}", f"--tls-key={path}", f"--tls-allow=user={path}")


def _listens(pid: int, port: int) -> bool:
    """Whether this process has the listening socket of this port open."""
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].rpartition(":")[2], 16) == port
    }
    held = set[str]()
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            held.add(os.readlink(one))
    return any(f"socket:[{inode}]" in held for inode in inodes)
