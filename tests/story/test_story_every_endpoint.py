"""The assembled application lets in nobody but whom each endpoint names, and nobody reaches what is another's."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from camtrust.documents import make_specimen_documents
from camtrust.web.absent import ABSENT
from foundation.http.actor import ActorKind
from foundation.http.direct import DirectRoute
from signing.requests.api import ROLE as REQUEST_ROLE
from tests.story.installation import Applicant, Installation, new_key
from tests.story.test_story_requests import asking
from tests.web.endpoint_walk import endpoints, walk

_SIGNED = "RFC 8555 §6.2: each request is signed by the key of the account (tests/ca/test_acme_rules.py)"
_EST = "RFC 7030 §3.2.3: HTTP Basic or a client certificate (tests/ca/test_est.py)"
_CMP = "RFC 9483 §3: each message is protected by a secret or a key (tests/ca/test_cmp_rules.py)"
_CLIENT = "RFC 6749 §2.3: the client proves itself in the request (tests/identity/test_oauth_machines.py)"
_ASKED = "the page where a person proves both factors for a client's request (tests/identity/test_oauth_attacks.py)"
# At `issuing`, and at each other issuing CA.
_OF_A_CA = {
    "/acme": {
        "GET /directory": "RFC 8555 §7.1.1",
        "GET /new-nonce": "RFC 8555 §7.2",
        "HEAD /new-nonce": "RFC 8555 §7.2",
        "POST /new-account": "RFC 8555 §7.3: signed, with an officer's credential",
        "POST /accounts/{account_id}": _SIGNED,
        "POST /accounts/{account_id}/orders": _SIGNED,
        "POST /key-change": _SIGNED,
        "POST /new-order": _SIGNED,
        "POST /orders/{order_id}": _SIGNED,
        "POST /orders/{order_id}/finalize": _SIGNED,
        "POST /authorizations/{authorization_id}": _SIGNED,
        "POST /challenges/{challenge_id}": _SIGNED,
        "POST /certificates/{serial}": _SIGNED,
        "POST /revoke-cert": "RFC 8555 §7.6: signed by the account's key or the certificate's",
        "GET /renewal-info/{identifier}": "RFC 9773 §4: dates of a certificate, nothing else",
    },
    "/.well-known/est": {
        "GET /cacerts": "RFC 7030 §4.1",
        "GET /csrattrs": "RFC 7030 §4.5.1: nobody need authenticate",
        "POST /simpleenroll": _EST,
        "POST /simplereenroll": _EST,
        "POST /serverkeygen": "refuses everybody",
    },
}
# Open to everybody, each on purpose. An endpoint that is not here is refused by the test: decide, then write it down.
PUBLIC = {
    "GET /": "the portal",
    "GET /docs": "documentation of the API",
    "GET /problems/{code}": "what a problem document's type leads to",
    "GET /healthz": "liveness; says nothing but that it lives",
    "GET /readyz": "readiness; codes alone",
    "GET /metrics": "counts by method, route and status",
    "GET /ekyc/v1/terms": "what a person will be asked to accept",
    "POST /ekyc/v1/enrolments": "the start of an enrolment, where nobody has a session yet",
    "POST /ekyc/v1/packet-claims": "going on with what a station collected, by the code that was given there",
    "GET /ekyc/v1/enrolments/{enrolment_id}/destruction": "proof of an erasure, once there is nobody left to log in",
    "POST /ekyc/v1/stops": "stopping new factors by the code that an old contact was sent, without a login",
    "POST /identity/v1/sessions": "logging in, with both factors",
    "POST /identity/v1/sessions/passkey-options": "logging in: what the person's device is asked",
    "POST /identity/v1/sessions/passkey": "logging in, with the device's answer",
    "GET /.well-known/oauth-authorization-server": "RFC 8414: what the authorisation server can do",
    "GET /.well-known/openid-configuration": "OpenID Connect Discovery 1.0 §4",
    "GET /oauth2/jwks": "the keys that ID tokens are verified with",
    "POST /oauth2/par": _CLIENT,
    "GET /oauth2/authorize": _ASKED,
    "POST /oauth2/authorize": _ASKED,
    "POST /oauth2/authorize/passkey": _ASKED,
    "POST /oauth2/token": _CLIENT,
    "POST /oauth2/revoke": _CLIENT,
    "GET /crl/{issuer}.crl": "RFC 5280 §4.2.1.13",
    "GET /crl/{issuer}/{scope}.crl": "RFC 5280 §5.2.4 and §5.2.5: delta and partitioned lists",
    "GET /crl/{issuer}/head": "the signed head of the status changes, without names",
    "GET /aia/{issuer}.cer": "RFC 5280 §4.2.2.1",
    "GET /log/checkpoint": "the issuance log: a signed tree head, without names",
    "GET /log/tile/{path:path}": "the issuance log: hashes",
    "GET /log/timestamps/{hour}/{digest}": "proofs of tokens, for whoever has one",
    "GET /log/proof/{kind}/{digest}": "the issuance log: proofs of what is published, never of certificates",
    **{
        f"{method} {base}{path}": why
        for prefix, named in (("/acme", "/acme/ca/{authority}"), ("/.well-known/est", "/.well-known/est/{authority}"))
        for base in (prefix, named)
        for (method, path), why in ((one.split(), why) for one, why in _OF_A_CA[prefix].items())
    },
    "POST /.well-known/cmp": _CMP,
    "POST /.well-known/cmp/p/{name}": _CMP,
    "POST /csc/v1/info": "CSC API v1.0.4 §11.1: what the service can do",
    "POST /csc/v2/info": "the same",
    "POST /csc/v1/auth/login": "CSC API v1.0.4 §11.2: always refused, with the reason",
    "POST /csc/v2/auth/login": "the same",
    # Pages: led to the login without a session (tests/story/test_story_portal.py)
    "GET /verify": "the form of whoever was given a document",
    "POST /verify": "a document to judge, which is not kept",
    "POST /verify/paper": "a code to judge, which is not kept",
    "GET /portal/login": "the form",
    "POST /portal/login": "PIN and code are the credential",
    "POST /portal/login/passkey-options": "the question to a device",
    "POST /portal/login/passkey": "its answer is the credential",
    **dict.fromkeys(
        (
            "POST /portal/logout",
            "GET /portal",
            "GET /portal/certificates",
            "GET /portal/history",
            "GET /portal/passkeys",
            "POST /portal/passkeys",
            "POST /portal/passkeys/options",
            "POST /portal/certificates/{credential_id}/suspension",
            "GET /portal/local",
            "POST /portal/local/fingerprint",
            "POST /portal/local/approval",
            "POST /portal/local/passkey-options",
            "POST /portal/local/passkey",
            "POST /portal/documents",
            "GET /portal/documents/{document_id}",
            "GET /portal/documents/{document_id}/pages/{page}",
            "GET /portal/documents/{document_id}/signed",
            "POST /portal/documents/{document_id}/approval",
            "POST /portal/documents/{document_id}/passkey-options",
            "POST /portal/documents/{document_id}/passkey",
            "POST /portal/documents/{document_id}/removal",
            "GET /portal/agencies",
            "POST /portal/agencies",
            "GET /portal/agencies/{agency_id}",
            "POST /portal/agencies/{agency_id}/mandate/approval",
            "POST /portal/agencies/{agency_id}/mandate/passkey-options",
            "POST /portal/agencies/{agency_id}/mandate/passkey",
            "POST /portal/agencies/{agency_id}/withdrawal",
            "POST /portal/agencies/{agency_id}/representatives",
            "POST /portal/agencies/{agency_id}/clients",
            "GET /portal/agencies/{agency_id}/clients/{client_id}",
            "POST /portal/agencies/{agency_id}/clients/{client_id}/credential",
            "POST /portal/agencies/{agency_id}/clients/{client_id}/credential-requests",
            "POST /portal/agencies/{agency_id}/clients/{client_id}/credential-requests/{request_id}/withdrawal",
            "POST /portal/agencies/{agency_id}/clients/{client_id}/withdrawal",
            "GET /portal/agencies/{agency_id}/templates",
            "POST /portal/agencies/{agency_id}/templates",
            "GET /portal/agencies/{agency_id}/templates/{template_id}/picture",
            "POST /portal/agencies/{agency_id}/templates/{template_id}/withdrawal",
            "GET /portal/agencies/{agency_id}/clients/{client_id}/batches/{batch_id}",
            "GET /portal/held-seals/{held_id}",
            "GET /portal/held-seals/{held_id}/pages/{page}",
            "GET /portal/held-seals/{held_id}/document",
            "GET /portal/held-seals/{held_id}/sealed",
            "GET /portal/held-seals/{held_id}/signature",
            "POST /portal/held-seals/{held_id}/approval",
            "POST /portal/held-seals/{held_id}/passkey-options",
            "POST /portal/held-seals/{held_id}/passkey",
            "POST /portal/held-seals/{held_id}/refusal",
            "GET /portal/own/certificates",
            "GET /portal/own/certificates/proofs/{digest}",
            "POST /portal/own/certificates/{serial}/revocation",
            "POST /portal/own/renewal",
            "GET /portal/own/data",
            "POST /portal/own/data/copy",
            "GET /portal/own/factors",
            "POST /portal/own/factors/pin",
            "POST /portal/own/factors/removal",
            "POST /portal/own/factors/passkey-options",
            "POST /portal/own/factors/passkey",
            "GET /portal/prompts/{handle}",
            "POST /portal/prompts/{handle}/approval",
            "POST /portal/prompts/{handle}/passkey-options",
            "POST /portal/prompts/{handle}/passkey",
            "POST /portal/prompts/{handle}/refusal",
            "GET /portal/requests/{request_id}",
            "POST /portal/requests/{request_id}/approval",
            "POST /portal/requests/{request_id}/passkey-options",
            "POST /portal/requests/{request_id}/passkey",
            "POST /portal/requests/{request_id}/refusal",
        ),
        "the session in its cookie",
    ),
    "GET /trust/bundle": "the signed trust bundle",
    "GET /trust/list.xml": "the signed trust list",
    "POST /verify/v1/documents": "verification; keeps nothing",
}
# Open, and not made of endpoints: whole paths below which one application answers.
PUBLIC_MOUNTS = {"/ocsp", "/tsa", "/static", "/static/fonts", "/openapi.json"}


def test_every_endpoint_refuses_everybody_else(assembled: Installation) -> None:
    """401 to nobody and 403 to each kind of actor that an endpoint does not name, or names only with a role."""
    staff = {kind: assembled.staff(kind) for kind in ActorKind if kind is not ActorKind.PERSON}

    def credential(kind: ActorKind, method: str, path: str, body: bytes) -> str:
        if kind is ActorKind.PERSON:
            return f"Bearer {assembled.services.identity.open('person-of-the-walk')}"
        return staff[kind].authorization(method, path, body)

    found = walk(assembled.app, credential)
    assert found.guarded >= 30
    assert found.refusals >= found.guarded * 3
    assert assembled.services.trail.verify(assembled.services.database) > found.guarded


def test_what_is_public_was_decided(assembled: Installation) -> None:
    """Every endpoint that anybody may call stands in the list above, and nothing stands there that is not served."""
    found = {
        f"{endpoint.method} {endpoint.path}"
        for endpoint in endpoints(assembled.app)
        if endpoint.allowed is None and endpoint.path not in ABSENT
    }
    assert found == set(PUBLIC)
    mounts = {
        str(context.path).rstrip("/")
        for context in iter_route_contexts(assembled.app.routes)
        if not isinstance(context.original_route, APIRoute | DirectRoute)
    }
    assert mounts == PUBLIC_MOUNTS
    guarded = {one.path for one in endpoints(assembled.app) if one.method == "POST" and one.allowed is not None}
    assert {str(one.path) for one in assembled.app.routes if isinstance(one, DirectRoute)} <= guarded
    for path in ABSENT:
        answer = assembled.http.get(path.replace("{path:path}", "x"))
        assert (answer.status_code, answer.json()["code"]) == (501, "foundation.not_implemented"), path


def test_what_is_another_s_is_as_absent_as_what_never_was(assembled: Installation) -> None:
    """Each endpoint on a person's enrolment, document or credential answers another person 404, whatever they send;
    and the answer is the one for an id that never was. Nothing of the owner's has changed afterwards."""
    owner, other = (assembled.applicant().until("certificate") for _ in range(2))
    pdf = _pdf(assembled)
    document = owner.uploaded("SPECIMEN letter.pdf", pdf)
    enrolment, before = owner.enrolment["id"], owner.get(owner.base)
    bodies = {
        "/consent": owner.acceptance(),
        "/level": {"level": "IAL3"},
        "/contact": {"channel": "sms", "address": "012345678"},
        "/contact/verification": {"code": "123456"},
        "/document": owner.card(),
        "/declaration": {
            **dict.fromkeys(("surname", "given_names", "surname_km", "given_names_km"), "SPECIMEN"),
            "date_of_birth": "1999-04-14",
            "commune": "120401",
        },
        "/face": {"challenge": "CHL-" + "A" * 16, "images": ["0" * 32]},
        "/chip": {"files": {"EF.SOD": "AAAA", "DG1": "AAAA"}},
        "/chip/authentication": {"dg14": "AAAA"},
        "/document/proposal": {"lines": list(owner.person.card())},
        "/factors": {"pin": "739218465017"},
        "/factors/confirmation": {"code": "123456"},
        "/renewal": {"pin": "739218465017", "totp": "123456"},
        "/appeal": {"statement": "SPECIMEN"},
        "/correction": {
            "document": owner.card(),
            "consent": owner.acceptance(),
            "pin": "739218465017",
            "totp": "123456",
        },
        "/code-card": {"pin": "739218465017"},
        "/otp-device": {"pin": "739218465017"},
    }
    changes = {"/ekyc/v1/authenticators/changes/{change_id}": {"pin": "482913", "totp": "123456"}}
    client = assembled.staff(ActorKind.CLIENT, REQUEST_ROLE)
    request = client.ask("POST", "/sign/v1/requests", asking(owner.person_id, pdf)).json()["id"]
    factors = {"credential": other.credential, "pin": owner.pin, "totp": "000000"}
    changes["/sign/v1/requests/{request_id}/approval"] = factors
    changes["/sign/v1/requests/{request_id}/passkey"] = {"credential": other.credential}
    serial = assembled.services.ca.certificates(owner=owner.person_id)[0].serial
    revoke = {"reason": "superseded", "pin": owner.pin, "totp": "000000"}
    asked = {"credentialID": owner.credential, "hashes": ["A" * 43 + "="], "numSignatures": 1}
    prompt = owner.post("/csc/v2/credentials/authorize", asked)["handle"]
    changes["/sign/v1/prompts/{handle}/approval"] = {"pin": owner.pin, "totp": "000000"}
    agency = owner.post("/sign/v1/agencies", {"name_km": "គំរូ", "name": "SPECIMEN Walk", "number": "GO:KH-900001"})["id"]
    changes["/sign/v1/agencies/{agency_id}/mandate"] = {"signature": "AAAA"}
    changes["/sign/v1/agencies/{agency_id}/clients"] = {"label": "x", "public_key": "x"}
    look = {"name": "official", "appearance": {"lines": [{"text": "{name}"}]}}
    changes["/sign/v1/agencies/{agency_id}/templates"] = look
    changes["/sign/v1/held-seals/{held_id}/statement"] = {"document": "0" * 32}
    changes["/sign/v1/credential-requests/{request_id}/withdrawal"] = {"reason": "other"}
    changes["/sign/v1/held-seals/{held_id}/refusal"] = {"reason": "other"}
    called = 0
    for endpoint in endpoints(assembled.app):
        if "person" not in (endpoint.allowed or {}) or "{" not in endpoint.path:
            continue
        body = bodies.get(endpoint.path.partition("{enrolment_id}")[2], {} if endpoint.method == "POST" else None)
        body = changes.get(endpoint.path, body) if endpoint.method == "POST" else body
        answers = []
        if "{serial}" in endpoint.path:
            body = revoke
        theirs = (enrolment, document, serial, request, client.id)
        for ids in (theirs, ("ENR-" + "A" * 16, "0" * 32, "abc", "0" * 32, "act_" + "a" * 24)):
            path = endpoint.path.replace("{enrolment_id}", ids[0]).replace("{document_id}", ids[1])
            # Whose these are: tests/signing/test_signing_passkey.py, tests/ekyc/test_ekyc_authenticators.py.
            path = path.replace("{approval_id}", ids[1] * 2).replace("{change_id}", ids[1] * 2)
            # … and tests/story/test_story_agencies_portal.py
            path = path.replace("{held_id}", ids[1] if ids[0] == enrolment else "0" * 32)
            path = path.replace("{serial}", ids[2]).replace("{image_id}", "0" * 32)
            path = path.replace("{page}", "1").replace("{request_id}", ids[3]).replace("{client_id}", ids[4])
            path = path.replace("{agency_id}", agency if ids[0] == enrolment else "0" * 32)
            path = path.replace("{template_id}", "0" * 32)
            path = path.replace("{person_id}", owner.person_id if ids[0] == enrolment else "nobody")
            path = path.replace("{handle}", prompt if ids[0] == enrolment else "0" * 32)
            path = path.replace("{credential_id}", owner.credential if ids[0] == enrolment else "0" * 32)
            assert "{" not in path, f"{endpoint.path}: tell this test whose that is"
            answers.append(other.ask(endpoint.method, path, body))
        assert {answer.status_code for answer in answers} == {404}, f"{endpoint.method} {endpoint.path}"
        assert _told(answers[0]) == _told(answers[1]), f"{endpoint.method} {endpoint.path}"
        called += 1
    assert called >= 20

    mine = other.uploaded("SPECIMEN form.pdf", pdf)
    borrowed = other.ask(
        "POST", "/sign/v1/authorisations", other.authorisation(mine, totp="000000") | {"credential": owner.credential}
    )
    assert (borrowed.status_code, borrowed.json()["code"]) == (404, "signing.credential_not_found")
    outcome = other.ask("POST", "/sign/v1/authorisations", other.authorisation(document, totp="000000")).json()[
        "documents"
    ][0]
    assert (outcome["signed"], outcome["problem"]["code"]) == (False, "signing.document_not_found")
    assert document not in str(other.get("/sign/v1/documents"))
    assert [one["id"] for one in other.get("/sign/v1/credentials")] == [other.credential]
    assert other.get("/ekyc/v1/enrolments/me")["id"] == other.enrolment["id"]

    assert owner.get(owner.base) == before
    assert owner.get(f"/sign/v1/requests/{request}")["state"] == "waiting"
    assert len(owner.sign(document)) == 1


def test_the_answer_to_a_key_belongs_to_whoever_asked(assembled: Installation) -> None:
    """Another person with the same Idempotency-Key, path and body gets an answer of their own: a refusal."""
    owner, other = assembled.applicant().until("match"), assembled.applicant()
    owner.review()
    key = new_key()
    first = owner.ask("POST", f"{owner.base}/factors", {"pin": owner.pin}, **{"Idempotency-Key": key})
    assert first.status_code == 201
    again = owner.ask("POST", f"{owner.base}/factors", {"pin": owner.pin}, **{"Idempotency-Key": key})
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    stranger = other.ask("POST", f"{owner.base}/factors", {"pin": owner.pin}, **{"Idempotency-Key": key})
    assert stranger.status_code == 404
    assert "provisioning_uri" not in stranger.text


@pytest.mark.parametrize("ending", ["log_out", "log_out_everywhere"])
def test_a_session_that_ended_opens_nothing(assembled: Installation, ending: str) -> None:
    """After logging out the token is good for no endpoint any more."""
    person: Applicant = assembled.applicant()
    path = "/identity/v1/sessions" + ("/current" if ending == "log_out" else "")
    assert person.ask("DELETE", path).status_code == 204
    answer = person.ask("GET", person.base)
    assert (answer.status_code, answer.json()["code"]) == (401, "foundation.unauthenticated")


def _told(answer: Any) -> tuple[int, str, str, str]:
    problem = answer.json()
    return answer.status_code, problem["code"], problem["detail"], problem["hint"]


def _pdf(assembled: Installation) -> bytes:
    folder = assembled.home.folder("made")
    if not any(folder.iterdir()):
        make_specimen_documents(folder, assembled.services.clock.now().replace(microsecond=0))
    return min(folder.glob("*.pdf"), key=lambda file: file.stat().st_size).read_bytes()
