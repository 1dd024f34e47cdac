"""OCSP responses made before they are asked for: when they are given, when they are not, and who drops them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from issuing_ca.asgi import OcspEndpoint
from issuing_ca.batches import Batches
from issuing_ca.errors import DerInvalid, Overloaded
from issuing_ca.model import Reason
from issuing_ca.ocsp_message import ResponseStatus
from issuing_ca.tables import ocsp_responses
from tests.ca.asgi_call import call
from tests.ca.ca_world import OPERATOR, World, down, up
from tests.ca.test_ca_ocsp import SHA1, request

GOOD, REVOKED = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED


def asked(world: World, certificate: x509.Certificate, algorithm: hashes.HashAlgorithm | None = None) -> bytes:
    return request(certificate, world.ca.authorities.get("issuing").certificate, algorithm)


def status(response: bytes) -> ocsp.OCSPCertStatus:
    return ocsp.load_der_ocsp_response(response).certificate_status


def stored(world: World) -> int:
    with world.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(ocsp_responses)).scalar_one())


def test_upkeep_makes_them_and_they_are_given_without_a_signature(world: World) -> None:
    """One for every certificate; with the token away they still answer, in this process and in another; not a nonce."""
    issued = [world.citizen() for _ in range(3)]
    world.ca.ocsp.answer(asked(world, issued[0].certificate))  # the responder is there
    assert world.ca.kept_ocsp.produce() == 4  # and its own certificate has a status too
    assert world.ca.kept_ocsp.produce() == 0
    world.keys.before = down("sign")
    for service in (world.ca, world.again()):
        for one in issued:
            answer = service.kept_ocsp.answer(asked(world, one.certificate))
            assert (answer.status, status(answer.response)) == (ResponseStatus.SUCCESSFUL, GOOD)
            remembered = service.kept_ocsp.remembered(asked(world, one.certificate))
            assert remembered is not None
            assert remembered.answer == answer
    issuer = world.ca.authorities.get("issuing").certificate
    nonced = request(issued[0].certificate, issuer, nonce=b"n" * 16)
    assert world.ca.kept_ocsp.answer(nonced).status is ResponseStatus.TRY_LATER
    assert world.ca.kept_ocsp.remembered(nonced) is None


def test_what_is_asked_for_and_not_there_is_made_and_kept(world: World) -> None:
    """With SHA-256, which upkeep does not make: the same octets the second time; unknown is never kept."""
    issued = world.citizen()
    data = asked(world, issued.certificate, hashes.SHA256())
    first = world.ca.kept_ocsp.answer(data)
    assert stored(world) == 1
    assert world.again().kept_ocsp.answer(data).response == first.response
    parsed = ocsp.load_der_ocsp_request(data)
    never = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        parsed.issuer_name_hash, parsed.issuer_key_hash, parsed.serial_number + 1, hashes.SHA256()
    )
    unknown = never.build().public_bytes(Encoding.DER)
    assert status(world.ca.kept_ocsp.answer(unknown).response) is ocsp.OCSPCertStatus.UNKNOWN
    assert world.ca.kept_ocsp.remembered(unknown) is None
    assert stored(world) == 1


def test_a_revocation_drops_them_at_once_and_everywhere(world: World) -> None:
    """Good is in the memory of two processes and in the store; after the revocation neither gives it again."""
    issued, other = world.citizen(), world.citizen()
    one, two = world.ca, world.again()
    data, theirs = asked(world, issued.certificate), asked(world, other.certificate)
    for service in (one, two):
        for each in (data, theirs):
            assert status(service.kept_ocsp.answer(each).response) is GOOD
            assert service.kept_ocsp.remembered(each) is not None
    one.revoke(issued.serial, Reason.KEY_COMPROMISE, OPERATOR)
    assert one.kept_ocsp.remembered(data) is None
    assert status(one.kept_ocsp.answer(data).response) is REVOKED
    assert two.kept_ocsp.remembered(theirs) is not None
    two.kept_ocsp.look()  # what each process does once a second
    assert two.kept_ocsp.remembered(data) is None
    assert two.kept_ocsp.remembered(theirs) is not None
    assert status(two.kept_ocsp.answer(data).response) is REVOKED
    assert status(world.again().kept_ocsp.answer(data).response) is REVOKED


def test_memory_that_cannot_look_is_not_answered_from(small_world: World) -> None:
    """More than a second after the last look into the journal, memory says nothing; without a database, tryLater."""
    world = small_world
    data = asked(world, world.citizen().certificate)
    world.ca.kept_ocsp.answer(data)
    assert world.ca.kept_ocsp.remembered(data) is not None
    world.clock.advance(timedelta(seconds=2))
    assert world.ca.kept_ocsp.remembered(data) is None
    world.database.close()
    (world.folder / "camtrust.sqlite").rename(world.folder / "elsewhere.sqlite")
    (world.folder / "camtrust.sqlite").mkdir()  # a database that cannot be opened
    assert world.ca.kept_ocsp.answer(data).status is ResponseStatus.TRY_LATER


def test_a_status_that_changes_while_it_is_signed_is_not_kept(world: World) -> None:
    """The certificate is revoked between the look and the store: the answer of that moment is given, and not kept."""
    issued = world.citizen()
    data = asked(world, issued.certificate)
    world.ca.ocsp.answer(data)
    other, before = world.again(), world.keys.before

    def revoke_first(operation: str) -> None:
        if operation == "sign":
            world.keys.before = before
            other.revocation.revoke(issued.serial, Reason.KEY_COMPROMISE, OPERATOR)

    world.keys.before = revoke_first
    assert status(world.ca.kept_ocsp.answer(data).response) is GOOD
    assert stored(world) == 0
    assert status(world.ca.kept_ocsp.answer(data).response) is REVOKED


def test_they_are_renewed_at_half_time_and_dropped_when_they_run_out(world: World) -> None:
    """thisUpdate is never older than half the validity while upkeep runs; without upkeep it is made when asked."""
    issued = world.citizen()
    data = asked(world, issued.certificate)
    first = world.ca.kept_ocsp.answer(data)
    world.ca.kept_ocsp.produce()
    world.clock.advance(world.ca.settings.ocsp_validity / 2 + timedelta(seconds=1))
    assert world.ca.kept_ocsp.answer(data).this_update == first.this_update
    assert world.ca.kept_ocsp.produce() == 2
    again = world.again().kept_ocsp.answer(data)
    assert again.this_update == world.clock.now()
    world.clock.advance(world.ca.settings.ocsp_validity)
    assert world.ca.kept_ocsp.remembered(data) is None
    late = world.ca.kept_ocsp.answer(data)
    assert late.this_update == world.clock.now()
    world.clock.advance(world.ca.settings.ocsp_validity * 2)
    world.keys.before = down("sign")
    assert world.ca.kept_ocsp.answer(data).status is ResponseStatus.TRY_LATER
    world.ca.kept_ocsp.produce()
    assert stored(world) == 0
    world.keys.before = up


def test_a_responder_that_is_revoked_takes_its_responses_along(world: World) -> None:
    """What it signed before is not given any more: the next responder signs anew."""
    issued = world.citizen()
    data = asked(world, issued.certificate)
    first = ocsp.load_der_ocsp_response(world.ca.kept_ocsp.answer(data).response).certificates[0]
    two = world.again()
    two.kept_ocsp.answer(data)
    world.ca.revoke(f"{first.serial_number:x}", Reason.KEY_COMPROMISE, OPERATOR)
    two.kept_ocsp.look()
    for service in (world.ca, two):
        assert service.kept_ocsp.remembered(data) is None
        response = ocsp.load_der_ocsp_response(service.kept_ocsp.answer(data).response)
        assert response.certificates[0].public_key() != first.public_key()


def test_two_processes_keep_the_same_at_once(world: World) -> None:
    """Eight threads over four services ask for the same: one response is kept, and everybody hears good."""
    issued = [world.citizen() for _ in range(4)]
    requests = [asked(world, one.certificate) for one in issued]
    world.ca.ocsp.answer(requests[0])
    services = [world.again() for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda at: services[at % 4].kept_ocsp.answer(requests[at % 3]), range(24)))
    assert {status(one.response) for one in answers} == {GOOD}
    assert stored(world) == 3


def test_headers_of_what_is_kept(small_world: World) -> None:
    """A GET may be cached for no longer than the response lasts; the same octets and ETag come back."""
    world = small_world
    app = OcspEndpoint(world.ca.kept_ocsp, world.clock)
    path = "/ocsp/" + base64.b64encode(asked(world, world.citizen().certificate)).decode()
    first = call(app, "GET", path)
    world.clock.advance(timedelta(minutes=10))
    again = call(app, "GET", path)
    assert again == first
    world.clock.advance(timedelta(minutes=40))
    world.keys.before = down("sign")
    late = call(app, "GET", path)
    assert late[2] == first[2]
    assert late[1]["cache-control"].startswith("max-age=300,")
    world.clock.advance(timedelta(minutes=8))
    assert call(app, "GET", path)[1]["cache-control"].startswith("max-age=120,")


def test_what_is_at_hand_is_what_the_application_says(small_world: World) -> None:
    """For a GET and a POST, field by field; nothing where there is no such response, a nonce, or a revocation since."""
    world = small_world
    app = OcspEndpoint(world.ca.kept_ocsp, world.clock)
    issued = world.citizen()
    data = asked(world, issued.certificate)
    gets = ("GET", "/ocsp/" + base64.b64encode(data).decode(), b"")
    posts = ("POST", "/ocsp", data)
    assert app.at_hand(*gets) is None
    world.ca.kept_ocsp.answer(data)
    for one in (gets, posts):
        answer = app.at_hand(*one)
        assert answer is not None
        fields = dict(line.split(": ", 1) for line in answer[0].decode().split("\r\n") if line)
        assert (200, fields, answer[1]) == call(app, *one)
    nonced = request(issued.certificate, world.ca.authorities.get("issuing").certificate, nonce=b"n" * 16)
    call(app, "POST", "/ocsp", nonced)
    assert app.at_hand("POST", "/ocsp", nonced) is None
    for path in ("/ocsp", "/ocsp/", "/ocsp/?", "/ocsp/\u17e1"):
        assert app.at_hand("GET", path, data) is None
    world.ca.revoke(issued.serial, Reason.KEY_COMPROMISE, OPERATOR)
    world.clock.advance(timedelta(seconds=2))
    assert app.at_hand(*gets) is None
    assert app.at_hand(*posts) is None


SPECIMEN_REQUEST = bytes.fromhex(
    "3051304f304d304b3049300906052b0e03021a05000414" + "11" * 20 + "0414" + "22" * 20 + "0210" + "33" * 16
)


@given(
    cut=st.integers(0, len(SPECIMEN_REQUEST)), at=st.integers(0, len(SPECIMEN_REQUEST) - 1), value=st.binary(max_size=4)
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_request_makes_an_exception(small_world: World, cut: int, at: int, value: bytes) -> None:
    """Octets replaced, inserted and cut off, by POST and GET: HTTP 200 with a response that can be read."""
    app = OcspEndpoint(small_world.ca.kept_ocsp, small_world.clock)
    changed = (SPECIMEN_REQUEST[:at] + value + SPECIMEN_REQUEST[at + len(value) // 2 :])[:cut]
    for answer in (
        call(app, "POST", "/ocsp", changed),
        call(app, "GET", "/ocsp/" + base64.b64encode(changed).decode()),
        call(app, "GET", "/ocsp/" + changed.decode("latin-1")),
    ):
        assert answer[0] == 200
        code = ocsp.load_der_ocsp_response(answer[2]).response_status
        assert code is not ocsp.OCSPResponseStatus.INTERNAL_ERROR


# --- batches ------------------------------------------------------------------------------------------------------


def test_what_waits_goes_together() -> None:
    """Twenty questions while the only thread is busy: one batch of one, then batches of up to eight, in their order."""
    sizes: list[int] = []
    go = Event()

    def work(questions: Sequence[bytes]) -> list[bytes]:
        sizes.append(len(questions))
        assert go.wait(30)
        return [question * 2 for question in questions]

    batches = Batches(work, "test", threads=1, most=8)

    async def ask() -> list[bytes]:
        asking = [asyncio.ensure_future(batches.ask(b"%d" % number)) for number in range(20)]
        await asyncio.sleep(0)
        go.set()
        return list(await asyncio.gather(*asking))

    assert asyncio.run(ask()) == [b"%d" % number * 2 for number in range(20)]
    assert sum(sizes) == 20
    assert max(sizes) == 8


def test_too_many_are_told_to_come_later_and_errors_reach_everybody() -> None:
    """Beyond the bound Overloaded at once; what the work raises, each of the batch hears; the next one works again."""
    taken, go = Event(), Event()

    def work(questions: Sequence[bytes]) -> list[bytes]:
        taken.set()
        assert go.wait(30)
        if b"bad" in questions:
            raise DerInvalid
        return list(questions)

    batches = Batches(work, "test", threads=1, most=4, waiting=4)

    async def ask() -> list[object]:
        first = asyncio.ensure_future(batches.ask(b"first"))
        assert await asyncio.to_thread(taken.wait, 30)  # the thread has it, and waits
        asking = [asyncio.ensure_future(batches.ask(one)) for one in (b"bad", b"1", b"2", b"3", b"4")]
        await asyncio.sleep(0)
        go.set()
        said = await asyncio.gather(first, *asking, return_exceptions=True)
        return [*said, await batches.ask(b"after")]

    said = asyncio.run(ask())
    assert said[0] == b"first"
    assert [type(one) for one in said[1:6]] == [DerInvalid] * 4 + [Overloaded]
    assert said[6] == b"after"


def test_sha1_is_what_upkeep_makes(small_world: World) -> None:
    """The CertID that nearly every client writes is the one that is made ahead."""
    world = small_world
    issued = world.citizen()
    world.ca.ocsp.answer(asked(world, issued.certificate))
    world.ca.kept_ocsp.produce()
    with world.database.read() as connection:
        kept = connection.execute(
            select(ocsp_responses.c.asked).where(ocsp_responses.c.serial == issued.serial)
        ).scalar_one()
    assert bytes(kept) in asked(world, issued.certificate, SHA1)
