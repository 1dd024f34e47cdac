"""A real mail server and a real SMS gateway on loopback, for tests: what they take over is kept to be looked at."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from ekyc.config import SmsSettings, SmtpSettings
from ekyc.contacts.sms_gateway import SmsGateway

HOST = "127.0.0.1"
PASSWORD = "SPECIMEN-mail-password"
TOKEN = "SPECIMEN-gateway-token"


@dataclass(frozen=True)
class Taken:
    """A message that a server took over."""

    id: str
    address: str
    text: str
    raw: Any = field(repr=False)


def server_certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that vouches for itself, with its key, in one PEM file; it is its own CA file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SPECIMEN mail server")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{certificate.serial_number:x}.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
    return file


class MailServer:
    """Takes messages over; ``refuse`` is what it answers to the recipient instead, ``drop`` breaks off after DATA."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.refuse: str | None = None
        self.port = 0

    async def handle_RCPT(self, _server: SMTP, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if self.refuse is not None:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Any) -> str:
        message = message_from_bytes(envelope.content, _class=EmailMessage, policy=default)
        [address] = envelope.rcpt_tos
        identity = str(message["Message-ID"]).strip("<>").partition("@")[0]
        self.taken.append(Taken(identity, address, message.get_content().strip(), message))
        return "250 OK"


class _AnyPort(Controller):
    """Looks at the port that it was given before it connects to it."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


def _log_in(_server: SMTP, _session: Any, _envelope: Any, _mechanism: str, given: LoginPassword) -> AuthResult:
    return AuthResult(success=given.password == PASSWORD.encode(), handled=False)


@contextmanager
def mail_server(certificate: Path, *, tls: str = "starttls") -> Iterator[MailServer]:
    """A mail server by STARTTLS with a login, by implicit TLS, or (``none``) in clear; both without a login."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = MailServer()
    secured: dict[str, Any] = {}
    if tls == "starttls":
        secured = {"tls_context": context, "require_starttls": True, "authenticator": _log_in, "auth_required": True}
    elif tls == "implicit":
        secured = {"ssl_context": context}
    controller = _AnyPort(server, hostname=HOST, port=0, **secured)
    controller.start()
    try:
        server.port = controller.port
        yield server
    finally:
        controller.stop()


class GatewayServer:
    """Takes messages over; ``status`` is what it answers, ``requests`` what it was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.status = 202
        self.url = ""

    @property
    def taken(self) -> list[Taken]:
        return [Taken(body["id"], body["to"], body["text"], body) for _, body in self.requests if self.status < 300]


@contextmanager
def gateway_server() -> Iterator[GatewayServer]:
    """An SMS gateway that wants the token."""
    gateway = GatewayServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = self.headers["Authorization"] == f"Bearer {TOKEN}"
            if known:
                gateway.requests.append((dict(self.headers), body))
            self.send_response(gateway.status if known else 401)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        gateway.url = f"http://{HOST}:{server.server_port}/messages"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield gateway
        finally:
            server.shutdown()
            thread.join(10)


def smtp_settings(port: int, certificate: Path, tls: str = "starttls", password: str = PASSWORD) -> SmtpSettings:
    """Settings for the mail server of these tests."""
    file = certificate.with_name("password")
    file.write_text(f"{password}\n", encoding="utf-8")
    login = {} if tls != "starttls" else {"user": "notices", "password_file": file}
    return SmtpSettings(
        host="127.0.0.1",
        port=port,
        tls=tls,
        ca_file=certificate,
        sender="notices@example.org",
        timeout_seconds=60,
        **login,
    )


def gateway(server: GatewayServer, folder: Path, token: str = TOKEN, **more: str) -> SmsGateway:
    """The adapter to the gateway of these tests."""
    file = folder / "token"
    file.write_text(f"{token}\n", encoding="utf-8")
    return SmsGateway(SmsSettings(url=server.url, token_file=file, timeout_seconds=60, **more))
