"""The people of the demo, as API clients: a citizen with a session, and a review officer with a key of their own."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec

from camtrust.assembly import new_idempotency_key
from camtrust.errors import DemoRefused
from ekyc.review import statement as review_statement
from foundation.clock import Clock
from identity.assertion import make_assertion


class Refused(Exception):
    """A problem document (RFC 9457) that the service answered with."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem.get("code", "unknown"))
        self.problem = problem


class Citizen:
    """One person: a session token, and the steps that the API asks for."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http
        self._session: str | None = None

    def get(self, path: str) -> Any:
        return _answer(self._http.get(path, headers=self._headers())).json()

    def download(self, path: str) -> bytes:
        return _answer(self._http.get(path, headers=self._headers())).content

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = self._headers() | {"Idempotency-Key": new_idempotency_key()}
        return _answer(self._http.post(path, json=body or {}, headers=headers)).json()

    def upload(self, path: str, file: Path, fields: dict[str, str]) -> Any:
        headers = self._headers() | {"Idempotency-Key": new_idempotency_key()}
        form = {"file": (file.name, file.read_bytes(), "application/pdf")}
        return _answer(self._http.post(path, files=form, data=fields, headers=headers)).json()

    def start(self, level: str) -> dict[str, Any]:
        """Start an enrolment and keep its session."""
        started = self.post("/ekyc/v1/enrolments", {"level": level, "language": "km"})
        self._session = started["session_token"]
        enrolment: dict[str, Any] = started["enrolment"]
        return enrolment

    def prove_contact(self, base: str, code: str, *, shared: bool = False) -> Any:
        """Show the code that arrived, and go on in the new session. ``shared``: another enrolment proved it before."""
        proved = self.post(f"{base}/contact/verification", {"code": code, **({"shared": True} if shared else {})})
        self._session = proved["session_token"]
        return proved

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._session}"} if self._session else {}


class Officer:
    """A registered actor: each request carries an assertion signed for it alone."""

    def __init__(
        self, http: httpx2.Client, key: ec.EllipticCurvePrivateKey, actor_id: str, public_url: str, clock: Clock
    ) -> None:
        self._http = http
        self._key = key
        self._actor_id = actor_id
        self._public_url = public_url
        self._clock = clock

    def get(self, path: str) -> Any:
        return _answer(self._http.get(path, headers=self._headers("GET", path, b""))).json()

    def get_octets(self, path: str) -> bytes:
        return bytes(_answer(self._http.get(path, headers=self._headers("GET", path, b""))).content)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        content = json.dumps(body).encode()
        headers = self._headers("POST", path, content) | {
            "Content-Type": "application/json",
            "Idempotency-Key": new_idempotency_key(),
        }
        return _answer(self._http.post(path, content=content, headers=headers)).json()

    def delete(self, path: str) -> Any:
        headers = self._headers("DELETE", path, b"") | {"Idempotency-Key": new_idempotency_key()}
        return _answer(self._http.delete(path, headers=headers)).json()

    def post_octets(self, path: str, content: bytes) -> Any:
        headers = self._headers("POST", path, content) | {"Content-Type": "application/octet-stream"}
        return _answer(self._http.post(path, content=content, headers=headers)).json()

    def review(self, enrolment_id: str, decision: str, method: str, reason: str) -> Any:
        """Look at a case, and decide on exactly what was shown, signed with the officer's own key."""
        path = f"/ekyc/v1/reviews/{enrolment_id}"
        return self.decide(self.get(path), decision, method, reason)

    def decide(self, case: dict[str, Any], decision: str, method: str, reason: str) -> Any:
        """Decide on a case as it was shown."""
        enrolment_id, seen = case["enrolment"]["id"], case["evidence_digest"]
        said = review_statement.statement(enrolment_id, seen, decision, method, reason)
        body = {"decision": decision, "method": method, "reason": reason, "evidence_digest": seen}
        body["signature"] = review_statement.sign(self._key, said)
        return self.post(f"/ekyc/v1/reviews/{enrolment_id}", body)

    def _headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        value = make_assertion(
            self._key,
            self._actor_id,
            self._public_url,
            method,
            self._public_url + path,
            body,
            self._clock.now(),
            secrets.token_urlsafe(24),
        )
        return {"Authorization": value}


def _answer(response: httpx2.Response) -> httpx2.Response:
    if response.status_code < 400:
        return response
    try:
        problem = response.json()
    except ValueError:
        raise DemoRefused(code=str(response.status_code)) from None
    raise Refused(problem)
