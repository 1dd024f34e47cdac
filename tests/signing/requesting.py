"""A desk of signing requests on real parts, the clients that ask at it, and a person with a passkey."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from foundation.db.engine import DatabaseUnavailable
from foundation.http.actor import Actor, ActorKind
from foundation.randomness import SystemRandomness
from foundation.vault import Vault
from signing.approval import Asked
from signing.requests.delivery import SentDocument
from signing.requests.desk import RequestDesk
from signing.requests.model import RequestLimits, ShownRequest
from signing.requests.oversight import RequestOversight
from signing.requests.reports import Reports
from tests.signing.conftest import Desk
from tests.signing.sample_pdf import sample
from tests.signing.test_signing_passkey import Holder

PURPOSE = "SPECIMEN lease of a market stall"


@dataclass
class Registered:
    """`signing.ports.Clients` of a test: who is registered under which label, and who was disabled."""

    labels: dict[str, str] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)

    def known(self, client_id: str) -> tuple[str, bool]:
        return self.labels.get(client_id, ""), client_id in self.labels and client_id not in self.disabled


@dataclass
class Told:
    """`signing.ports.RequestNotices` of a test: whom was told of whom, and who cannot be."""

    told: list[tuple[str, str]] = field(default_factory=list)
    unreachable: set[str] = field(default_factory=set)

    def asked(self, connection: Connection, person: str, requester: str) -> None:  # noqa: ARG002
        if person in self.unreachable:
            raise DatabaseUnavailable
        self.told.append((person, requester))


class Office:
    """The desk, and what stands around it."""

    def __init__(self, desk: Desk, limits: RequestLimits | None = None) -> None:
        self.desk, self.clients, self.notices = desk, Registered(), Told()
        self.requests = RequestDesk(
            desk.database,
            desk.trail,
            desk.clock,
            SystemRandomness(),
            Vault(desk.keys),
            desk.custody,
            desk.service,
            self.clients,
            self.notices,
            limits,
        )
        self.oversight = RequestOversight(
            desk.database, desk.trail, desk.clock, Reports(desk.database, desk.trail, desk.clock)
        )

    def client(self, label: str = "SPECIMEN Ministry of Markets") -> Actor:
        """A registered client."""
        client_id = "act_" + "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(24))
        self.clients.labels[client_id] = label
        return Actor(ActorKind.CLIENT, client_id, frozenset({"sign-request"}))

    def holder(self) -> Holder:
        """A person whose factor is a passkey."""
        return Holder(self.desk)

    def ask(self, client: Actor, person: str, documents: int = 1, **more: Any) -> ShownRequest:
        """A request with sample documents."""
        sent = [SentDocument(f"lease-{number}.pdf", sample()) for number in range(documents)]
        return self.requests.ask(client, person, more.pop("purpose", PURPOSE), more.pop("sent", sent), **more)

    def question(self, holder: Holder, request: ShownRequest) -> Asked:
        return self.requests.ask_passkey(holder.actor, request.request.request_id, holder.credential.credential_id)

    def answered(self, holder: Holder, request: ShownRequest, asked: Asked, **wrong: object) -> ShownRequest:
        """The request after the device's answer; ``wrong``: what is wrong about that."""
        make: Callable[..., str] = holder.device.answer
        shown, _ = self.requests.answer_passkey(
            holder.actor, request.request.request_id, asked.approval_id, make(asked.options, **wrong)
        )
        return shown

    def pass_time(self, span: timedelta) -> None:
        self.desk.clock.advance(span)
