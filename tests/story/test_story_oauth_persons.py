"""Persons let clients in, on a whole installation: Authlib and pyHanko as the clients, over HTTP."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from authlib.oidc.core import CodeIDToken
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt
from joserfc.jwk import KeySet
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import PdfSignatureMetadata, PdfSigner
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers.csc_signer import (
    CSCAuthorizationInfo,
    CSCAuthorizationManager,
    CSCServiceSessionInfo,
    CSCSigner,
    fetch_certs_in_csc_credential,
)

from tests import programs
from tests.story.installation import Applicant, Installation
from tests.story.oauth_client import WebClient, by_passkey, by_pin
from tests.story.test_story_passkey import Phone
from tests.verify.verify_world import document

SHA256_OID, ECDSA_SHA256 = "2.16.840.1.101.3.4.2.1", "1.2.840.10045.4.3.2"


def digest(number: int) -> bytes:
    return hashlib.sha256(f"SPECIMEN {number}".encode()).digest()


def details(credential: str, *digests: bytes) -> str:
    documents = [{"hash": base64.urlsafe_b64encode(one).decode(), "label": "SPECIMEN letter"} for one in digests]
    one = {"type": "credential", "credentialID": credential, "documentDigests": documents}
    return json.dumps([one | {"hashAlgorithmOID": SHA256_OID}])


def ask(assembled: Installation, token: str, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
    answer = assembled.http.post(f"/csc/v2/{path}", json=body, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.json()


def with_passkey(assembled: Installation) -> tuple[Applicant, Any]:
    """A citizen with a certificate, whose factor is a passkey."""
    person, phone = assembled.applicant().until("review"), Phone()
    phone.enrol(person)
    person.certificate()
    return person, lambda options: phone.device.answer(options, origin=Phone.ORIGIN)


def test_a_bank_logs_a_citizen_in(assembled: Installation) -> None:
    """With PIN and code: Authlib takes the ID token as valid; by consent, userinfo has the certificate's name."""
    person, bank = assembled.applicant().until("certificate"), WebClient(assembled)
    told = bank.ask("openid profile", by_pin(person, share_name="yes"), nonce="n-1")
    keys = KeySet.import_key_set(assembled.http.get("/oauth2/jwks").json())
    issuer = assembled.services.settings.public_url
    decoded = jwt.decode(told["id_token"], keys, algorithms=["ES256"])
    options = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": bank.staff.id}}
    claims = CodeIDToken(
        decoded.claims, decoded.header, options, {"nonce": "n-1", "access_token": told["access_token"]}
    )
    claims.validate()
    shown = {"Authorization": f"Bearer {told['access_token']}"}
    userinfo = assembled.http.get("/oauth2/userinfo", headers=shown).json()
    assert userinfo["sub"] == claims["sub"]
    assert userinfo["family_name"]
    assert userinfo["given_name"]
    assert person.person_id not in told["id_token"]
    assert assembled.http.get("/sign/v1/documents", headers=shown).status_code == 403
    assert assembled.http.post("/csc/v2/credentials/list", json={}, headers=shown).status_code == 403


def test_a_client_signs_what_the_citizen_permitted(assembled: Installation) -> None:
    """With a passkey: a token of scope service lists the credential, one of scope credential signs exactly the digests
    that the page showed, each once, for this client alone; the trail says which client it was."""
    person, device = with_passkey(assembled)
    app, other = WebClient(assembled), WebClient(assembled)
    service = app.ask("service", by_passkey(person, device))["access_token"]
    status, listed = ask(assembled, service, "credentials/list")
    assert (status, listed["credentialIDs"]) == (200, [person.credential])
    first, second, stranger = digest(1), digest(2), digest(3)
    told = app.ask(
        "credential", by_passkey(person, device), authorization_details=details(person.credential, first, second)
    )
    assert told["credentialID"] == person.credential
    sad = told["access_token"]

    def sign(token: str, *digests: bytes, **more: str) -> tuple[int, dict[str, Any]]:
        hashes = [base64.b64encode(one).decode() for one in digests]
        wanted = {"credentialID": person.credential, "hashes": hashes, "signAlgo": ECDSA_SHA256}
        return ask(assembled, token, "signatures/signHash", **wanted, hashAlgorithmOID=SHA256_OID, **more)

    assert sign(sad, stranger)[0] == 400
    theirs = other.ask("service", by_passkey(person, device))["access_token"]
    assert sign(theirs, first, SAD=sad)[0] == 400
    assert sign(person._headers()["Authorization"].removeprefix("Bearer "), first, SAD=sad)[0] == 400
    assert sign(service, first)[0] == 400
    status, signed = sign(sad, first)
    assert status == 200, signed
    status, more = sign(service, second, SAD=sad)
    assert status == 200, more
    assert sign(sad, first)[0] == 400
    _, described = ask(assembled, service, "credentials/info", credentialID=person.credential)
    certificate = x509.load_der_x509_certificate(base64.b64decode(described["cert"]["certificates"][0]))
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    for what, signature in ((first, signed["signatures"][0]), (second, more["signatures"][0])):
        key.verify(base64.b64decode(signature), what, ec.ECDSA(Prehashed(SHA256())))
    rows = [row for row in assembled.audit() if row["action"] == "signing.authorised"]
    assert json.loads(rows[-1]["details"])["client"] == app.staff.id
    history = person.get("/sign/v1/history")["entries"]
    assert [(one["act"], one["client"]) for one in history if one["act"] == "signature"][:2] == [
        ("signature", app.staff.id)
    ] * 2


def test_what_a_client_may_not_do_with_a_person_s_tokens(assembled: Installation) -> None:
    """A token to sign with lists and describes nothing; a token of the service authorises nothing without factors."""
    person, app = assembled.applicant().until("certificate"), WebClient(assembled)
    sad = app.ask("credential", by_pin(person), authorization_details=details(person.credential, digest(4)))
    for path in ("credentials/list", "credentials/info", "signatures/timestamp"):
        assert ask(assembled, sad["access_token"], path, credentialID=person.credential)[0] == 403
    assembled.services.identity.close_all(person.person_id)
    hashes = [base64.b64encode(digest(4)).decode()]
    wanted = {"credentialID": person.credential, "hashes": hashes, "signAlgo": ECDSA_SHA256}
    assert ask(assembled, sad["access_token"], "signatures/signHash", **wanted)[0] == 401


class Prover(CSCAuthorizationManager):
    """Has the person permit exactly these hashes, on the page; the access token is the SAD."""

    def __init__(self, app: WebClient, person: Applicant, device: Any, *rest: Any) -> None:
        super().__init__(*rest)
        self._app, self._person, self._device = app, person, device
        self.asked = 0

    async def authorize_signature(self, hash_b64s: list[str]) -> CSCAuthorizationInfo:
        self.asked += 1
        wanted = details(self._person.credential, *map(base64.b64decode, hash_b64s))
        told = await asyncio.to_thread(
            lambda: self._app.ask("credential", by_passkey(self._person, self._device), authorization_details=wanted)
        )
        return CSCAuthorizationInfo(sad=told["access_token"])


@pytest.mark.parametrize("count", [1, 50])
def test_pyhanko_signs_with_tokens_of_the_authorisation_server(
    assembled: Installation, tmp_path: Any, count: int
) -> None:
    """One document, and fifty in one authorisation: poppler finds each valid and whole."""
    person, device = with_passkey(assembled)
    app = WebClient(assembled)
    service = app.ask("service", by_passkey(person, device))["access_token"]
    documents = [document(f"SPECIMEN {number}") for number in range(count)]

    async def signed() -> tuple[list[bytes], int]:
        async with aiohttp.ClientSession() as http:
            there = CSCServiceSessionInfo(assembled.url, person.credential, service, api_ver="v1")
            prover = Prover(app, person, device, there, await fetch_certs_in_csc_credential(http, there))
            signer = CSCSigner(http, prover, batch_size=count, embed_roots=False)

            async def one(data: bytes) -> bytes:
                metadata = PdfSignatureMetadata("Signature1", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES)
                out = await PdfSigner(metadata, signer).async_sign_pdf(IncrementalPdfFileWriter(BytesIO(data)))
                return bytes(out.getvalue())

            return list(await asyncio.gather(*map(one, documents))), prover.asked

    made, asked = asyncio.run(signed())
    assert asked == 1
    for number, (before, after) in enumerate(zip(documents, made, strict=True)):
        assert after.startswith(before)
        file = tmp_path / f"{number}.pdf"
        file.write_bytes(after)
        told = programs.run("pdfsig", "-nocert", file).stdout
        assert "Signature is Valid." in told
        assert "Total document signed" in told
