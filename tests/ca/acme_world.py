"""The ACME door by a real server on a loopback port, with a DNS and web servers of applicants, all on loopback.

:class:`Client` is a small ACME client of our own, for what real ones cannot be made to do; certbot and lego judge the
rest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import httpx2
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import FastAPI
from joserfc import jws
from joserfc.jwk import ECKey, OctKey
from joserfc.jws import JWSRegistry

import issuing_ca.acme.store
from foundation.clock import SetClock
from foundation.db.engine import Database
from foundation.http.guard import Guard
from foundation.http.problems import audit_refusals, install
from foundation.randomness import SystemRandomness
from foundation.vault import Vault
from issuing_ca.acme.api import create_router
from issuing_ca.acme.credentials_api import create_credential_router
from issuing_ca.acme.model import NewCredential
from issuing_ca.acme.network import DnsResolver, HttpFetcher
from issuing_ca.acme.service import AcmeService
from issuing_ca.config import IssuingCaSettings
from tests.ca.ca_world import OPERATOR, World, make_world
from tests.ca.named_actors import NamedActors

ORGANISATION = (("C", "KH"), ("O", "SPECIMEN Ministry"))
URN = "urn:ietf:params:acme:error:"
MEMBER = (("C", "KH"), ("O", "SPECIMEN Member"), ("serialNumber", "0000041"))


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class NameServer:
    """A DNS server: what :attr:`addresses` and :attr:`texts` say, and NXDOMAIN."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self.texts: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self.port = self._socket.getsockname()[1]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._ending.is_set():
            try:
                data, peer = self._socket.recvfrom(4096)
            except OSError:
                continue
            query = dns.message.from_wire(data)
            self._socket.sendto(self._answer(query).to_wire(), peer)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        question = query.question[0]
        name, kind = question.name.to_text().rstrip(".").lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{kind} {name}")
        v6 = kind == "AAAA"
        found = {
            "A": [one for one in self.addresses.get(name, []) if ":" not in one],
            "AAAA": [one for one in self.addresses.get(name, []) if ":" in one],
            "TXT": [json.dumps(one) for one in self.texts.get(name, [])],
        }.get(kind, [])
        if found:
            response.answer.append(dns.rrset.from_text_list(question.name, 1, "IN", kind, found))
        elif name not in self.addresses and name not in self.texts and not v6:
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response

    def close(self) -> None:
        self._ending.set()
        self._thread.join(5)
        self._socket.close()


class WebServer:
    """An applicant's web server: ``pages`` by path; a page may be (status, headers, body)."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | tuple[int, Mapping[str, str], bytes]] = {}
        self.asked: list[tuple[str, str]] = []
        world = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                world.asked.append((self.headers.get("Host", ""), self.path))
                page = world.pages.get(self.path, (404, {}, b""))
                status, headers, body = page if isinstance(page, tuple) else (200, {}, page)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()


@dataclass
class AcmeWorld:
    """Everything that a test of the ACME door touches."""

    world: World
    service: AcmeService
    names: NameServer
    web: WebServer
    url: str
    http: httpx2.Client
    challenge_port: int
    folder: Path
    authority: str = "issuing"

    @property
    def base(self) -> str:
        return "/acme" if self.authority == "issuing" else f"/acme/ca/{self.authority}"

    @property
    def directory(self) -> str:
        return f"{self.url}{self.base}/directory"

    def at(self, authority: str) -> AcmeWorld:
        """The same world, at the addresses of another CA."""
        return replace(self, authority=authority)

    def credential(
        self, profile: str = "tls-server", domains: tuple[str, ...] = (), owner: str = "organisation:specimen"
    ) -> NewCredential:
        subject = ORGANISATION if profile == "tls-server" else MEMBER
        return self.service.of(self.authority).accounts.new_credential(profile, subject, domains, owner, OPERATOR)

    def client(self, profile: str = "tls-server", domains: tuple[str, ...] = ()) -> Client:
        """A client with an account."""
        client = Client(self)
        made = client.register(self.credential(profile, domains))
        assert made.status_code == 201, made.text
        return client

    def site(self, name: str) -> None:
        """A host whose address is loopback, served by this world's web server."""
        self.names.addresses[name] = ["127.0.0.1"]


@dataclass
class Client:
    """An ACME client that does what it is told, right or wrong."""

    at: AcmeWorld
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    kid: str | None = None

    @property
    def jwk(self) -> dict[str, Any]:
        return dict(self.key.as_dict(private=False))

    def nonce(self) -> str:
        return str(self.at.http.head(f"{self.at.base}/new-nonce").headers["Replay-Nonce"])

    def signed(self, url: str, payload: Any, *, key: ECKey | None = None, **header: Any) -> dict[str, str]:
        """A flattened JWS. ``header`` replaces parts of the protected header; None leaves one out."""
        key = key or self.key
        protected: dict[str, Any] = {"alg": "ES256", "url": url}
        if "nonce" not in header:
            protected["nonce"] = self.nonce()
        if self.kid is not None and "jwk" not in header:
            protected["kid"] = self.kid
        else:
            protected["jwk"] = dict(key.as_dict(private=False))
        protected = {name: value for name, value in (protected | header).items() if value is not None}
        data = b"" if payload is None else json.dumps(payload).encode()
        return flattened(protected, data, key, "ES256")

    def post(self, path: str, payload: Any = None, **header: Any) -> httpx2.Response:
        """A signed request. ``path``: below the origin, or a whole address."""
        url = path if path.startswith("http") else f"{self.at.url}{path}"
        return self.send(url, self.signed(url, payload, **header))

    def send(self, url: str, body: Any) -> httpx2.Response:
        return self.at.http.post(url, content=json.dumps(body), headers={"Content-Type": "application/jose+json"})

    def register(self, credential: NewCredential | None, **binding: Any) -> httpx2.Response:
        url = f"{self.at.url}{self.at.base}/new-account"
        payload: dict[str, Any] = {"contact": ["mailto:admin@specimen.example"]}
        if credential is not None:
            payload["externalAccountBinding"] = self.binding(credential, **binding)
        answer = self.post(url, payload)
        if answer.status_code in (200, 201):
            self.kid = answer.headers["Location"]
        return answer

    def binding(
        self, credential: NewCredential, *, alg: str = "HS256", url: str | None = None, jwk: Any = None, **header: Any
    ) -> dict[str, str]:
        padded = credential.hmac_key + "=" * (-len(credential.hmac_key) % 4)
        secret = OctKey.import_key(base64.urlsafe_b64decode(padded))
        place = url or f"{self.at.url}{self.at.base}/new-account"
        protected = {"alg": alg, "kid": credential.credential.kid, "url": place}
        return flattened(protected | header, json.dumps(jwk or self.jwk).encode(), secret, alg)

    def order(self, *names: str, **more: Any) -> httpx2.Response:
        identifiers = [{"type": "dns", "value": name} for name in names]
        return self.post(f"{self.at.base}/new-order", {"identifiers": identifiers} | more)

    def challenge(self, authorization: str, kind: str = "http-01") -> dict[str, Any]:
        found = self.post(authorization).json()
        return next(one for one in found["challenges"] if one["type"] == kind)

    def key_authorization(self, token: str) -> str:
        return f"{token}.{self.key.thumbprint()}"

    def prove(self, order: Mapping[str, Any], kind: str = "http-01") -> None:
        """Meet the challenge of each name of an order."""
        for authorization in order["authorizations"]:
            name = self.post(authorization).json()["identifier"]["value"]
            challenge = self.challenge(authorization, kind)
            wanted = self.key_authorization(challenge["token"])
            if kind == "http-01":
                self.at.site(name)
                self.at.web.pages[f"/.well-known/acme-challenge/{challenge['token']}"] = wanted.encode()
            else:
                digest = encoded(hashlib.sha256(wanted.encode()).digest())
                self.at.names.texts[f"_acme-challenge.{name}"] = ["something else", digest]
            done = self.post(challenge["url"], {})
            assert done.json()["status"] == "valid", done.text

    def finalize(self, order: Mapping[str, Any], csr: bytes) -> httpx2.Response:
        return self.post(order["finalize"], {"csr": encoded(csr)})

    def certified(self, *names: str, key: Any = None, **more: Any) -> x509.Certificate:
        """From order to certificate."""
        made = self.order(*names, **more)
        assert made.status_code == 201, made.text
        self.prove(made.json())
        done = self.finalize(made.json(), csr(*names, key=key))
        assert done.status_code == 200, done.text
        return x509.load_pem_x509_certificate(self.post(done.json()["certificate"]).content)


def flattened(protected: Mapping[str, Any], payload: bytes, key: Any, algorithm: str) -> dict[str, str]:
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    compact = jws.serialize_compact(dict(protected) | {"alg": algorithm}, payload, key, registry=registry)
    return dict(zip(("protected", "payload", "signature"), compact.split("."), strict=True))


def csr(*names: str, key: Any = None, cn: str | None = None, **extra: Any) -> bytes:
    """A request for these names, DER."""
    attributes = [x509.NameAttribute(x509.NameOID.COMMON_NAME, cn)] if cn else []
    attributes.append(x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "what a request says about itself"))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
    given = extra.get("san") or [x509.DNSName(name) for name in names]
    if given:
        builder = builder.add_extension(x509.SubjectAlternativeName(given), False)
    signer = key or ec.generate_private_key(ec.SECP256R1())
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.DER)


@contextmanager
def acme_world(database: Database, clock: SetClock, token: Any, folder: Path, **settings: Any) -> Iterator[AcmeWorld]:
    """The door, open on a free loopback port."""
    names, web = NameServer(), WebServer()
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    values: dict[str, Any] = {
        "public_url": url,
        "acme_networks": (ip_network("127.0.0.0/8"),),
        "acme_http_port": web.port,
        "acme_resolvers": ("127.0.0.1",),
        "acme_resolver_port": names.port,
    }
    configuration = IssuingCaSettings(**(values | settings))
    world = make_world(database, clock, token, folder, configuration)
    issuing_ca.acme.store.metadata.create_all(database.engine)
    resolver = DnsResolver(configuration.acme_resolvers, configuration.acme_resolver_port)
    fetcher = HttpFetcher(resolver, configuration.acme_networks, configuration.acme_http_port)
    service = AcmeService(world.ca, database, Vault(token), clock, SystemRandomness(), world.audit, fetcher, resolver)
    app = FastAPI()
    install(app)
    app.include_router(create_router(service, audit_refusals(database, world.audit)))
    app.include_router(create_credential_router(service, Guard(NamedActors(), url)))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none", http="h11"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        with httpx2.Client(base_url=url, timeout=60, trust_env=False) as http:
            yield AcmeWorld(world, service, names, web, url, http, configuration.acme_http_port, folder)
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
        web.close()
        names.close()


def refused(answer: object, kind: str, status: int | None = None) -> dict[str, object]:
    """The problem document of a refusal, which has a fresh nonce."""
    problem: dict[str, object] = answer.json()  # type: ignore[attr-defined]
    assert problem["type"] == URN + kind, problem
    assert answer.headers["content-type"] == "application/problem+json"  # type: ignore[attr-defined]
    assert answer.headers["replay-nonce"]  # type: ignore[attr-defined]
    assert status is None or answer.status_code == status  # type: ignore[attr-defined]
    return problem
