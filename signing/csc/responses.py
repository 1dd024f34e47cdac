"""signatures/signDoc, and answers that clients come back for (v2.0.0.2 §11.10 to §11.12: operationMode A).

What was accepted is a row with the request sealed for the person; whoever works on it claims it, upkeep goes on with
what a crash left behind, and signatures/signPolling tells how far it is. Nothing is signed twice: the token permits
each digest once, and a document that is signed is fetched.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from foundation.clock import Clock
from foundation.db.engine import Database
from foundation.errors import CamTrustError
from foundation.http.actor import Actor, ActorKind, Delegation
from foundation.randomness import Randomness
from foundation.vault import Vault
from signing.csc import store
from signing.csc.authorising import CscAuthorising, through
from signing.csc.errors import CscRefused, refusal_of
from signing.csc.service import CscService
from signing.csc.wanted import DETACHED
from signing.errors import DocumentNotFound
from signing.forms import Packaging
from signing.history import Through
from signing.model import DocumentState
from signing.service import SigningService
from signing.sign.digest_forms import Answer

LONGEST = 24 * 3600 * 1000  # milliseconds that an answer is kept
_DEFAULT = 3600 * 1000
_GIVEN_UP_AFTER = timedelta(minutes=5)  # by then no authorisation is good any more
_AT_ONCE = 50
_PURPOSE = "csc-response:"


@dataclass(frozen=True)
class HashCall:
    """signHash: what `CscService.sign` takes."""

    digests: tuple[bytes, ...]
    sign_algorithm: str
    digest_algorithm: str | None


class CscResponses:
    """Signs documents at once, and digests and documents for those who come back."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        randomness: Randomness,
        signing: SigningService,
        csc: CscService,
        authorising: CscAuthorising,
    ) -> None:
        self._database, self._vault, self._clock, self._randomness = database, vault, clock, randomness
        self._signing, self._csc, self._authorising = signing, csc, authorising

    def sign_documents(
        self, actor: Actor, credential_id: str, sad: bytes, subject: str, via: Through | None = None
    ) -> dict[str, Any]:
        """The documents that the SAD was given for, signed; ``subject``: of what the client sends along; ``via``: where
        it came in, for the history; None: this API.

        Raises CscRefused, ``invalid_hash`` where that is something else, and what signing raises of the first document.
        """
        known = self._authorising.behind(actor, credential_id, sad)
        if known.documents is None:
            raise CscRefused("invalid_request", "the SAD was not given for documents")
        if known.subject != subject:
            raise CscRefused("invalid_hash", "Document or documentDigest does not match authorized hash", 403)
        found = [self._signing.document(actor, one).document for one in known.documents]
        if not all(one.state is DocumentState.SIGNED for one in found):
            credential = self._signing.person_credential(actor, credential_id)
            outcomes = self._signing.approvals.sign(
                actor, credential, known.authorisation_id, sad, via or through(actor)
            )
            failed = next((one.error for one in outcomes if one.error is not None), None)
            if failed is not None:
                raise failed
        return self._told(actor, known.documents)

    def accept(
        self,
        actor: Actor,
        credential_id: str,
        sad: bytes,
        call: HashCall | str,
        milliseconds: int | None,
    ) -> str:
        """Take a request that its client comes back for; ``call``: of signHash, or the subject of signDoc's documents.

        Gives the responseID. What the SAD does not permit is refused at once: CscRefused.
        """
        known = self._authorising.behind(actor, credential_id, sad)
        if isinstance(call, str) and (known.documents is None or known.subject != call):
            raise CscRefused("invalid_hash", "Document or documentDigest does not match authorized hash", 403)
        if isinstance(call, HashCall) and known.documents is not None:
            raise CscRefused("invalid_request", "the SAD was given for documents")
        response_id = self._randomness.bytes(16).hex()
        request: dict[str, Any] = {
            "credential": credential_id,
            "sad": sad.hex(),
            "client": actor.delegation.client_id if actor.delegation else None,
        }
        if isinstance(call, str):
            request["subject"] = call
        else:
            request["hashes"] = [one.hex() for one in call.digests]
            request["algorithms"] = [call.sign_algorithm, call.digest_algorithm]
        sealed = self._vault.seal(actor.id, _PURPOSE + response_id, json.dumps(request).encode())
        expires = self._clock.now() + timedelta(milliseconds=milliseconds or _DEFAULT)
        with self._database.unit_of_work() as connection:
            store.insert_response(connection, response_id, actor.id, sealed, expires)
        return response_id

    def work(self, response_id: str) -> bool:
        """Do what was accepted, unless another does; whether it was done here."""
        now = self._clock.now()
        with self._database.unit_of_work() as connection:
            claimed = store.claim(connection, response_id, now, now - _GIVEN_UP_AFTER)
        if claimed is None:
            return False
        request = json.loads(self._vault.open(claimed.owner, _PURPOSE + response_id, claimed.request))
        client = request["client"]
        actor = Actor(
            ActorKind.PERSON,
            claimed.owner,
            delegation=None if client is None else Delegation(client, frozenset({"credential"})),
        )
        try:
            result = self._result(actor, request)
        except CscRefused as refused:
            result = _refusal(refused)
        except CamTrustError as error:
            result = _refusal(refusal_of(error))
        sealed = self._vault.seal(claimed.owner, _PURPOSE + response_id, json.dumps(result).encode())
        with self._database.unit_of_work() as connection:
            store.finish(connection, response_id, sealed)
        return True

    def resume(self) -> int:
        """Go on with what nobody works on, and forget what is kept no longer; gives how many were done."""
        now = self._clock.now()
        with self._database.unit_of_work() as connection:
            store.drop_responses(connection, now)
        with self._database.read() as connection:
            waiting = store.unfinished(connection, now - _GIVEN_UP_AFTER, _AT_ONCE)
        self._authorising.sweep()
        return sum(self.work(one) for one in waiting)

    def poll(self, actor: Actor, response_id: str) -> dict[str, Any]:
        """The answer. CscRefused: ``accepted_request`` (202) while it is worked on, or what came of it."""
        with self._database.read() as connection:
            found = store.response_of(connection, actor.id, response_id, self._clock.now())
        if found is None:
            raise CscRefused("invalid_request", "Invalid parameter requestID")
        if found.state != store.DONE or found.result is None:
            raise CscRefused("accepted_request", "the request was accepted and is not completed yet", 202)
        result = json.loads(self._vault.open(actor.id, _PURPOSE + response_id, found.result))
        if "error" in result:
            raise CscRefused(result["error"], result["error_description"], result["status"])
        if "documents" in result:
            return self._told(actor, result["documents"])
        return {"signatures": result["signatures"]}

    # ------------------------------------------------------------------------------------------------------------------

    def _result(self, actor: Actor, request: dict[str, Any]) -> dict[str, Any]:
        credential_id, sad = request["credential"], bytes.fromhex(request["sad"])
        if "subject" in request:
            self.sign_documents(actor, credential_id, sad, request["subject"])
            return {"documents": self._authorising.behind(actor, credential_id, sad).documents}
        digests = [bytes.fromhex(one) for one in request["hashes"]]
        signatures = self._csc.sign(actor, credential_id, sad, digests, *request["algorithms"])
        return {"signatures": [base64.b64encode(one).decode() for one in signatures]}

    def _told(self, actor: Actor, documents: tuple[str, ...] | list[str]) -> dict[str, Any]:
        """Signed files, or the signatures beside them where the packaging says so."""
        told: dict[str, list[str]] = {}
        beside: list[Answer] = []
        for document_id in documents:
            form = self._signing.document(actor, document_id).document.form
            name = "SignatureObject" if form.packaging in DETACHED else "DocumentWithSignature"
            _, data = self._signing.signed(actor, document_id)
            if form.packaging is Packaging.DIGEST:
                beside.append(Answer.parse(data))
                data = beside[-1].signature
            told.setdefault(name, []).append(base64.b64encode(data).decode())
        if not told:
            raise DocumentNotFound
        return {**told, **_validation_info(beside)}


def _validation_info(answers: Sequence[Answer]) -> dict[str, Any]:
    """``validationInfo`` (§11.11), each value once: what the security store of a PDF is made of. Nothing below B-LT."""
    found = {
        "ocsp": [item for one in answers for item in one.ocsps],
        "crl": [item for one in answers for item in one.crls],
        "certificates": [item for one in answers for item in one.certificates],
    }
    if not any(found.values()):
        return {}
    told = {name: [base64.b64encode(one).decode() for one in dict.fromkeys(items)] for name, items in found.items()}
    return {"validationInfo": told}


def _refusal(refused: CscRefused) -> dict[str, Any]:
    return {"error": refused.error, "error_description": refused.description, "status": refused.status}
