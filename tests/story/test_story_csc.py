"""The Cloud Signature Consortium API, by pyHanko's own client over HTTP, and by somebody who means harm."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from io import BytesIO
from typing import Any

import aiohttp
import pytest
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

from signing.csc.api import METHODS
from tests import programs
from tests.story.installation import Applicant, Installation
from tests.verify.verify_world import document

SHA256, ECDSA_SHA256 = "2.16.840.1.101.3.4.2.1", "1.2.840.10045.4.3.2"


@pytest.fixture
def person(assembled: Installation) -> Applicant:
    return assembled.applicant().until("certificate")


class Prover(CSCAuthorizationManager):
    """Asks the service for exactly the hashes that are about to be signed, with PIN and code."""

    def __init__(self, person: Applicant, session: aiohttp.ClientSession, *rest: Any) -> None:
        super().__init__(*rest)
        self._person, self._session = person, session
        self.asked = 0

    async def authorize_signature(self, hash_b64s: list[str]) -> CSCAuthorizationInfo:
        self.asked += 1
        body = self.format_csc_auth_request(
            pin=self._person.pin, otp=self._person.next_code(), hash_b64s=list(hash_b64s)
        )
        url = self.csc_session_info.endpoint_url("credentials/authorize")
        async with self._session.post(url, headers=self.auth_headers, json=body, raise_for_status=True) as answer:
            return self.parse_csc_auth_response(await answer.json())


def _token(person: Applicant) -> str:
    return str(person._headers()["Authorization"]).removeprefix("Bearer ")


async def _sign(person: Applicant, documents: list[bytes], version: str) -> tuple[list[bytes], int]:
    """The documents, signed by pyHanko through the service in one authorisation; and how many it asked for."""
    # the server closes connections that were idle for five seconds, and fifty documents may take longer
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        service = CSCServiceSessionInfo(
            str(person.http.base_url).rstrip("/"), person.credential, _token(person), api_ver=version
        )
        credential = await fetch_certs_in_csc_credential(session, service)
        prover = Prover(person, session, service, credential)
        signer = CSCSigner(session, prover, batch_size=len(documents), embed_roots=False)

        async def one(data: bytes) -> bytes:
            metadata = PdfSignatureMetadata("Signature1", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES)
            out = await PdfSigner(metadata, signer).async_sign_pdf(IncrementalPdfFileWriter(BytesIO(data)))
            return bytes(out.getvalue())

        return list(await asyncio.gather(*map(one, documents))), prover.asked


@pytest.mark.parametrize(("version", "count"), [("v1", 1), ("v2", 50)])
def test_pyhanko_signs_through_it(
    assembled: Installation, person: Applicant, tmp_path: Any, version: str, count: int
) -> None:
    """One document, and fifty in one authorisation: poppler finds each valid and whole."""
    documents = [document(f"SPECIMEN {number}") for number in range(count)]
    signed, asked = asyncio.run(_sign(person, documents, version))
    assert asked == 1
    for number, (before, after) in enumerate(zip(documents, signed, strict=True)):
        assert after.startswith(before)
        file = tmp_path / f"{number}.pdf"
        file.write_bytes(after)
        told = programs.run("pdfsig", "-nocert", file).stdout
        assert "Signature is Valid." in told
        assert "Total document signed" in told
    rows = [row for row in assembled.audit() if row["action"] == "signing.csc_signed"]
    assert len(json.loads(rows[-1]["details"])["digests"]) == count


def _ask(person: Applicant, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = person.http.post(f"/csc/{path}", json=body, headers=person._headers())
    return answer.status_code, answer.json()


def _digest(number: int) -> str:
    return base64.b64encode(hashlib.sha256(str(number).encode()).digest()).decode()


def test_it_says_what_it_is(assembled: Installation, person: Applicant) -> None:
    """Both versions name themselves, and list no method that is not there."""
    for version, specs in (("v1", "1.0.4.0"), ("v2", "2.0.0.2")):
        told = person.http.post(f"/csc/{version}/info", json={}).json()
        assert told["specs"] == specs
        assert told["oauth2" if version == "v1" else "oauth2Issuer"] == assembled.services.settings.public_url
        for method in told["methods"]:
            status, answer = _ask(person, f"{version}/{method}", {"credentialID": "none"})
            assert status in (200, 400), (method, answer)
        assert _ask(person, f"{version}/credentials/create", {})[0] == 501
        assert "credentials/sendOTP" not in told["methods"]
        for method in ("credentials/sendOTP", "auth/login"):
            status, answer = _ask(person, f"{version}/{method}", {"credentialID": person.credential})
            assert status in (400, 403)
            assert set(answer) == {"error", "error_description"}
    status, answer = _ask(person, "v2/credentials/list", {"onlyValid": True})
    assert (status, answer["credentialIDs"]) == (200, [person.credential])


def test_only_what_was_permitted_is_signed_and_once(assembled: Installation, person: Applicant) -> None:
    """Another digest, a second time, another's credential, no permission at all: no signature."""
    first, second, other = _digest(1), _digest(2), _digest(3)
    wanted = {"credentialID": person.credential, "hash": [first, second], "numSignatures": 2}
    status, answer = _ask(person, "v1/credentials/authorize", {**wanted, "PIN": person.pin, "OTP": "000000"})
    assert (status, answer["error"]) == (400, "invalid_pin")
    status, granted = _ask(person, "v1/credentials/authorize", {**wanted, "PIN": person.pin, "OTP": person.next_code()})
    assert status == 200, granted
    sign = {"credentialID": person.credential, "SAD": granted["SAD"], "signAlgo": ECDSA_SHA256, "hashAlgo": SHA256}
    for hashes in ([other], [first, other], [first, first]):
        status, answer = _ask(person, "v1/signatures/signHash", {**sign, "hash": hashes})
        assert status == 400, answer
    stranger = assembled.applicant().until("certificate")
    for credential in (person.credential, stranger.credential):
        status, answer = _ask(stranger, "v1/signatures/signHash", {**sign, "hash": [first], "credentialID": credential})
        assert status == 400, answer
    assert _ask(person, "v1/signatures/signHash", {**sign, "hash": [first]})[0] == 200
    status, answer = _ask(person, "v1/signatures/signHash", {**sign, "hash": [first]})
    assert (status, answer["error"]) == (400, "invalid_request")
    assert _ask(person, "v2/signatures/signHash", {**sign, "hashes": [second]})[0] == 200


def test_bad_requests_have_the_api_s_own_form(assembled: Installation, person: Applicant) -> None:
    """Nothing is guessed: lengths, algorithms, numbers, Base64, JSON."""
    proof = {"credentialID": person.credential, "PIN": person.pin, "OTP": "123456"}
    short = base64.b64encode(b"short").decode()
    for path, body in (
        ("v1/credentials/authorize", {**proof, "hash": [short]}),
        ("v2/credentials/authorizeCheck", {"handle": "\x00"}),
        ("v2/signatures/signPolling", {"requestID": "\x00"}),
        ("v1/credentials/authorize", {**proof, "hash": [_digest(1)], "numSignatures": 2}),
        ("v1/credentials/authorize", {**proof, "hash": ["*"]}),
        ("v1/credentials/authorize", {**proof, "hash": []}),
        ("v1/credentials/authorize", {**proof}),
        ("v2/credentials/authorize", {"credentialID": person.credential, "hashes": [_digest(1)], "authData": 7}),
        ("v1/credentials/info", {"credentialID": person.credential, "certificates": "all"}),
        ("v1/signatures/signHash", {**proof, "SAD": "AA", "hash": [_digest(1)], "signAlgo": "1.2.3"}),
        ("v1/signatures/timestamp", {"hash": short, "hashAlgo": SHA256}),
        ("v1/signatures/timestamp", {"hash": _digest(1), "hashAlgo": "1.3.14.3.2.26"}),
    ):  # fmt: skip
        status, answer = _ask(person, path, body)
        assert status == 400, (path, body, answer)
        assert set(answer) == {"error", "error_description"}
    raw = person.http.post("/csc/v1/credentials/list", content=b"[" * 9000, headers=person._headers())
    assert raw.status_code == 400
    status, answer = _ask(person, "v1/signatures/timestamp", {"hash": _digest(1), "hashAlgo": SHA256})
    assert status == 200
    assert base64.b64decode(answer["timestamp"])[0] == 0x30


def test_odd_values_are_refused_and_fail_nothing(person: Applicant) -> None:
    """Each parameter of each method with values of other kinds: refusals, never a failure of the service."""
    odd = ("\x00", "\ud800", "é", -1, 1.5, 10**30, True, None, {}, [], [1], [{}], {"a": 1}, "A" * 5000)
    names = ("hashes", "SAD", "signAlgo", "authData", "PIN", "documents", "operationMode", "handle", "requestID")
    methods = [one for one in METHODS if one != "auth/revoke"]
    for number, value in enumerate(odd * len(methods)):
        method = methods[number % len(methods)]
        body = {"credentialID": person.credential, names[number % len(names)]: value}
        raw = json.dumps(body if number % 3 else {**body, "credentialID": value}).encode()
        headers = person._headers() | {"Content-Type": "application/json"}
        answer = person.http.post(f"/csc/v2/{method}", content=raw, headers=headers)
        assert answer.status_code < 500, (method, body, answer.text)
