"""A person lets a client do something: from the pushed request to the code.

    push      the client says what it wants, directly and proven (RFC 9126); it gets an address that is good once
    open      the person's browser comes with that address: from now on the request is this browser's alone
    refuse    the person says no: the client hears access_denied
    ask       what the person's passkey is asked, where they use one
    allow     both factors are proved, by PIN and code or by passkey. To sign, the key store checks them for exactly the
              digests that the page showed, and what it permits is kept sealed under the code
    redeem    the client changes the code for a token, once, with its PKCE verifier

There is no login that outlives a request: each time the person sees what is asked and proves both factors, so that
there is no session to be fixed, ridden or stolen. Checks:

    OB-01  the request is open, this client's, and not run out
    OB-02  it is this browser's, and the form is the one that this browser was shown
    OC-01  the code is one of ours and current     OC-04  its redirect_uri is repeated exactly
    OC-02  it is this client's                     OC-05  the verifier is that of the challenge
    OC-03  it was not used before; else what came from it ends (RFC 9700 §4.2.4)
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from foundation.base64url import encoded
from foundation.clock import Clock, rfc3339
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database, StaleWrite
from foundation.errors import CamTrustError, Kind
from foundation.http.actor import ActorKind
from foundation.keys.factors import ApprovalRequest
from foundation.keys.port import Activation
from foundation.randomness import Randomness
from identity.errors import AuthorizationGone, AuthorizationUnavailable, FormForged, LoginRefused
from identity.oauth import store
from identity.oauth.authorization_request import AuthorizationRequest, Signing, read_request
from identity.oauth.clients import Clients, Proven
from identity.oauth.errors import OAuthRefused, invalid_grant, invalid_request
from identity.oauth.model import PROFILE
from identity.oauth.tokens import digest_of, seal, secret, unseal
from identity.ports import ReportedClients, SigningApprovals
from identity.proofs import REFUSED, PersonProofs

REQUEST_URI = "urn:ietf:params:oauth:request_uri:"
PUSHED_LIFETIME = timedelta(seconds=90)
OPEN_LIFETIME = timedelta(minutes=10)
CODE_LIFETIME = timedelta(seconds=60)

_SECRET = re.compile(r"^[A-Za-z0-9_-]{43}$")
_VERIFIER = re.compile(r"^[A-Za-z0-9._~-]{43,128}$")


@dataclass(frozen=True)
class Opened:
    """A request as it is shown: ``browser`` is for a cookie, ``form`` stands in the form."""

    request: AuthorizationRequest
    client_label: str
    browser: str
    form: str


@dataclass(frozen=True)
class Proof:
    """How the person proves themselves: PIN and code, or the passkey's answer (JSON of the PublicKeyCredential)."""

    person_id: str = ""
    pin: str = ""
    totp: str = ""
    assertion: str | None = None

    def __repr__(self) -> str:
        return f"Proof({'passkey' if self.assertion else 'pin-totp'})"


@dataclass(frozen=True)
class Redeemed:
    """What a code stands for."""

    request: AuthorizationRequest
    person_id: str
    scopes: frozenset[str]
    authenticated_at: datetime
    methods: tuple[str, ...]
    code: bytes
    activation: Activation | None


class Authorizations:
    """Requests of clients to persons."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        trail: AuditTrail,
        randomness: Randomness,
        issuer: str,
        clients: Clients,
        proofs: PersonProofs,
        approvals: SigningApprovals | None,
        reported: ReportedClients | None = None,
    ) -> None:
        self._database, self._clock, self._trail, self._randomness = database, clock, trail, randomness
        self._issuer, self._clients, self._proofs, self._approvals = issuer, clients, proofs, approvals
        self._reported = reported

    def push(self, proven: Proven, parameters: Mapping[str, str]) -> dict[str, Any]:
        """RFC 9126 §2.2. Raises OAuthRefused."""
        request = read_request(proven.client, parameters)
        if request.signing is not None and self._approvals is None:
            raise invalid_request("nothing can be signed here")
        if request.signing is not None and self._reported is not None and self._reported.stopped(request.client_id):
            raise OAuthRefused("unauthorized_client", "this client may ask nobody to sign at the moment")
        name, now = secret(self._randomness), self._clock.now()
        with self._database.unit_of_work() as connection:
            store.prune(connection, now)
            store.add_request(connection, digest_of(name), request.client_id, request.to_json(), now + PUSHED_LIFETIME)
        return {"request_uri": REQUEST_URI + name, "expires_in": int(PUSHED_LIFETIME.total_seconds())}

    def open(self, client_id: str, request_uri: str, browser: str | None) -> Opened:
        """Show a request. ``browser``: the cookie that came for it. AuthorizationGone, AuthorizationUnavailable."""
        digest = _digest(request_uri)
        row = self._row(client_id, digest)
        if row.browser is None:
            browser = secret(self._randomness)
            try:
                with self._database.unit_of_work() as connection:
                    expires = self._clock.now() + OPEN_LIFETIME
                    store.take_request(connection, digest, digest_of(browser), expires)
            except StaleWrite:
                raise AuthorizationGone(rule="OB-01") from None
        elif not _same(row.browser, browser):
            raise AuthorizationGone(rule="OB-02")
        found = self._clients.find(client_id)
        request = AuthorizationRequest.from_json(row.parameters)
        if found is None or request.redirect_uri not in found[0].redirect_uris:
            raise AuthorizationUnavailable(rule="OA-02")
        assert browser is not None  # noqa: S101 - made above, or compared
        return Opened(request, found[1].label, browser, _form(browser, digest))

    def resume(self, client_id: str, request_uri: str, browser: str | None, form: str) -> Opened:
        """The request that a form belongs to. FormForged; AuthorizationGone."""
        digest = _digest(request_uri)
        row = self._row(client_id, digest)
        if browser is None or row.browser is None or not _same(row.browser, browser):
            raise FormForged(rule="OB-02")
        if not hmac.compare_digest(form.encode(), _form(browser, digest).encode()):
            raise FormForged(rule="OB-02")
        return self.open(client_id, request_uri, browser)

    def refuse(self, opened: Opened, request_uri: str, *, reported: bool = False) -> str:
        """The person says no; gives the address to send them back to. ``reported``: they did not expect to be asked,
        which operators see and the client is not told. AuthorizationGone."""
        digest = _digest(request_uri)
        with self._database.unit_of_work() as connection:
            self._close(connection, digest)
            action = "identity.oauth_reported" if reported else "identity.oauth_refused"
            self._note(connection, "anonymous", action, opened.request, {})
            if reported and self._reported is not None:
                self._reported.reported(connection, opened.request.client_id, digest.hex())
        return self._back(opened.request, {"error": "access_denied"})

    def ask(self, opened: Opened, request_uri: str, person_id: str) -> ApprovalRequest:
        """What the person's passkey is asked: that they are there, or that these digests may be signed."""
        signing = opened.request.signing
        try:
            if signing is None:
                asked = self._proofs.ask_passkey(person_id)
            else:
                client_id = opened.request.client_id
                asked = self._signing().ask(person_id, signing.credential_id, signing.digests, client_id)
        except CamTrustError as refused:
            if refused.kind is Kind.NOT_FOUND or isinstance(refused, REFUSED):
                raise LoginRefused(rule=refused.code) from None
            raise
        try:
            with self._database.unit_of_work() as connection:
                store.ask_in_request(connection, _digest(request_uri), person_id, asked.nonce.hex())
        except StaleWrite:
            raise AuthorizationGone(rule="OB-01") from None
        return asked

    def allow(self, opened: Opened, request_uri: str, proof: Proof, share_name: bool) -> str:
        """The person proves both factors; gives the address to send them to, with a code. Raises LoginRefused,
        PinLocked and what the key store raises: the person can try again. AuthorizationGone."""
        digest, request = _digest(request_uri), opened.request
        row = self._row(request.client_id, digest)
        person_id, activation = self._prove(row, request.signing, proof, request.client_id)
        scopes = request.scopes if share_name else request.scopes - {PROFILE}
        code, now = secret(self._randomness), self._clock.now()
        kept = {
            "request": request.to_json(),
            "scopes": sorted(scopes),
            "at": rfc3339(now),
            "methods": ["hwk", "user"] if proof.assertion else ["pin", "otp"],
        }
        with self._database.unit_of_work() as connection:
            self._close(connection, digest)
            values: dict[str, Any] = {
                "digest": digest_of(code),
                "client_id": request.client_id,
                "person_id": person_id,
                "parameters": json.dumps(kept),
                "expires_at": now + CODE_LIFETIME,
            }
            if activation is not None:
                values["activation"] = seal(code, activation.token, self._randomness)
                values["activation_expires"] = activation.expires
            store.add_code(connection, values)
            who = f"{ActorKind.PERSON}:{person_id}"
            self._note(connection, who, "identity.oauth_allowed", request, {"scopes": sorted(scopes)})
        return self._back(request, {"code": code})

    def redeem(self, proven: Proven, parameters: Mapping[str, str]) -> Redeemed:
        """Change a code for what it stands for (RFC 6749 §4.1.3). Raises OAuthRefused. The first try uses it up."""
        code, verifier = parameters.get("code"), parameters.get("code_verifier")
        if code is None or verifier is None or "redirect_uri" not in parameters:
            raise invalid_request("code, code_verifier and redirect_uri are required")
        digest, now = digest_of(code), self._clock.now()
        with self._database.read() as connection:
            row = store.code(connection, digest)
        if row is None:
            raise invalid_grant("OC-01")
        if row.client_id != proven.client.client_id:
            raise invalid_grant("OC-02")
        if row.used_at is None and row.expires_at <= now:
            raise invalid_grant("OC-01")
        try:  # also when it has run out since: what came from a used code lives on for longer than the code
            with self._database.unit_of_work() as connection:
                store.use_code(connection, digest, now)
        except StaleWrite:
            self._end_what_came(digest, row)
            raise invalid_grant("OC-03") from None
        kept = json.loads(row.parameters)
        request = AuthorizationRequest.from_json(kept["request"])
        if parameters["redirect_uri"] != request.redirect_uri:
            raise invalid_grant("OC-04")
        if not _VERIFIER.match(verifier) or not hmac.compare_digest(_s256(verifier), request.challenge):
            raise invalid_grant("OC-05")
        activation = None
        if row.activation is not None:
            activation = Activation(unseal(code, bytes(row.activation)), row.activation_expires)
        at = datetime.fromisoformat(kept["at"])
        scopes, methods = frozenset(kept["scopes"]), tuple(kept["methods"])
        return Redeemed(request, row.person_id, scopes, at, methods, digest, activation)

    # ------------------------------------------------------------------------------------------------------------------

    def _prove(self, row: Any, signing: Signing | None, proof: Proof, client_id: str) -> tuple[str, Activation | None]:
        person_id, question = proof.person_id, ""
        if proof.assertion is not None:
            if row.person_id is None or row.question is None:
                raise AuthorizationGone(rule="OB-01")
            person_id, question = row.person_id, row.question  # those who were asked, whatever the form says
        if signing is None and proof.assertion is not None:
            self._proofs.check_passkey(person_id, question, proof.assertion)
        elif signing is None:
            self._proofs.check(person_id, proof.pin, proof.totp)
        else:
            return person_id, self._permitted(person_id, signing, proof, question, client_id)
        return person_id, None

    def _permitted(self, person_id: str, signing: Signing, proof: Proof, question: str, client_id: str) -> Activation:
        """What the key store permits. A credential that is not the person's is refused as a wrong PIN is."""
        approvals, credential, digests = self._signing(), signing.credential_id, signing.digests
        try:
            if proof.assertion is None:
                return approvals.permit(person_id, credential, digests, proof.pin, proof.totp, client_id)
            nonce = bytes.fromhex(question)
            return approvals.answer(person_id, credential, digests, nonce, proof.assertion, client_id)
        except CamTrustError as refused:
            if refused.kind is Kind.NOT_FOUND or isinstance(refused, REFUSED):
                raise LoginRefused(rule=refused.code) from None
            raise

    def _signing(self) -> SigningApprovals:
        if self._approvals is None:
            raise AuthorizationUnavailable(rule="OR-05")
        return self._approvals

    def _row(self, client_id: str, digest: bytes) -> Any:
        with self._database.read() as connection:
            row = store.request(connection, digest, client_id, self._clock.now())
        if row is None:
            raise AuthorizationGone(rule="OB-01")
        return row

    def _close(self, connection: Any, digest: bytes) -> None:
        try:
            store.close_request(connection, digest, self._clock.now())
        except StaleWrite:
            raise AuthorizationGone(rule="OB-01") from None

    def _end_what_came(self, digest: bytes, row: Any) -> None:
        with self._database.unit_of_work() as connection:
            ended = store.end_code(connection, digest, self._clock.now())
            who = f"{ActorKind.CLIENT}:{row.client_id}"
            self._trail.append(connection, who, "identity.oauth_code_replayed", row.client_id, {"ended": ended})

    def _note(
        self, connection: Any, who: str, action: str, request: AuthorizationRequest, details: dict[str, Any]
    ) -> None:
        if request.signing is not None:
            details = details | {
                "credential": request.signing.credential_id,
                "digests": [one.hex() for one in request.signing.digests],
            }
        self._trail.append(connection, who, action, request.client_id, details)

    def _back(self, request: AuthorizationRequest, answer: dict[str, str]) -> str:
        """The client's address with the answer, and who gives it (RFC 9207)."""
        if request.state is not None:
            answer["state"] = request.state
        join = "&" if "?" in request.redirect_uri else "?"
        return f"{request.redirect_uri}{join}{urlencode(answer | {'iss': self._issuer})}"


def _digest(request_uri: str) -> bytes:
    name = request_uri.removeprefix(REQUEST_URI)
    if name == request_uri or not _SECRET.match(name):
        raise AuthorizationGone(rule="OB-01")
    return digest_of(name)


def cookie_name(request_uri: str) -> str:
    """A cookie for each request, so that two of them in one browser do not meet."""
    return f"camtrust-oauth-{digest_of(request_uri.removeprefix(REQUEST_URI)).hex()[:16]}"


def _same(kept: bytes, browser: str | None) -> bool:
    return browser is not None and hmac.compare_digest(bytes(kept), digest_of(browser))


def _form(browser: str, digest: bytes) -> str:
    """What stands in the form and in nobody else's: bound to the browser's secret and to the request."""
    return hmac.new(browser.encode(), b"camtrust-oauth-form\x00" + digest, hashlib.sha256).hexdigest()


def _s256(verifier: str) -> str:
    return encoded(hashlib.sha256(verifier.encode()).digest())
