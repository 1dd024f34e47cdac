"""How fast PDFs are verified, beside pyHanko's own validators and beside hashing, in the same run.

    python -m bench.verify

Documents come from the specimen world of the tests; nothing but what is measured runs in between. Figures are of CPU
time of this process, so that a busy machine changes them little. pyHanko's side does not account for octets, compare
with a second parser, or look at what fields show.

"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.validation import ades
from pyhanko.sign.validation.policy_decl import (
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy
from pyhanko_certvalidator.registry import SimpleTrustManager

from signing.model import Level
from signing.sign.token_signer import asn1
from signing.verify.model import Indication
from signing.verify.policy import STRICT
from signing.verify.trust import Trust, build_trust
from signing.verify.verdict import verify_file
from tests.attacks.benign import our_pki, ours
from tests.verify.verify_world import NOW, SIGNED_AT, World, document

COMMAND = [sys.executable, "-P", "-c", "from camtrust.cli.main import main; main()"]


def main() -> None:
    logging.disable(logging.CRITICAL)
    world = World()
    trust = build_trust(world.bundle(), frozenset({world.pin}), [], NOW, STRICT)
    archive = world.timestamp(world.signed(document()), SIGNED_AT + timedelta(hours=3))
    archive_beside_pyhanko(ours(document(), Level.B_LTA))
    many_signatures(world, trust)
    large_file(world, trust, archive)
    command(world, archive)


def cpu(operation: Callable[[], object], seconds: float = 1.5) -> float:
    """Seconds of CPU time for one call: the least of several, after one that is not counted."""
    operation()
    best, end = float("inf"), time.process_time() + seconds
    while time.process_time() < end or best == float("inf"):
        begin = time.process_time()
        operation()
        best = min(best, time.process_time() - begin)
    return best


def line(what: str, taken: float, beside: str = "", ratio: float | None = None) -> None:
    compared = f"{ratio:6.2f} x {beside}" if ratio is not None else ""
    print(f"{what:58} {1000 * taken:9.1f} ms   {compared}", flush=True)


def passes(data: bytes, trust: Trust) -> None:
    verdict = verify_file(data, "bench", trust, NOW)
    assert verdict.indication is Indication.TOTAL_PASSED, verdict.json()


def archive_beside_pyhanko(data: bytes) -> None:
    """A document of our own signer, which both find valid with the same one anchor."""
    root = our_pki().root.certificate
    trust = build_trust(None, frozenset(), [root], NOW, STRICT)
    specified = specification(asn1(root))
    theirs = cpu(lambda: pyhanko_lta(specified, data))
    mine = cpu(lambda: passes(data, trust))
    line("B-LTA document: pyHanko, ades_lta_validation", theirs)
    line("B-LTA document: ours, all checks but pictures", mine, "pyHanko (goal: 1)", mine / theirs)


def pyhanko_lta(specified: PdfSignatureValidationSpec, data: bytes) -> None:
    reader = PdfFileReader(BytesIO(data))
    result = asyncio.run(ades.ades_lta_validation(reader.embedded_regular_signatures[0], specified))
    assert result.ades_subindic is AdESPassed.OK, result.failure_msg


def specification(root: Any) -> PdfSignatureValidationSpec:
    checked: Any = CertRevTrustPolicy
    policy: Any = CertValidationPolicySpec(
        trust_manager=SimpleTrustManager.build([root]),
        revinfo_policy=checked(revocation_checking_policy=REQUIRE_REVINFO),
    )
    gathering = RevocationInfoGatheringSpec(online_fetching_rule=RevinfoOnlineFetchingRule.LOCAL_ONLY)
    return PdfSignatureValidationSpec(
        SignatureValidationSpec(
            cert_validation_policy=policy, ts_cert_validation_policy=policy, revinfo_gathering_policy=gathering
        )
    )


def many_signatures(world: World, trust: Trust, count: int = 50) -> None:
    data = document()
    for number in range(count):
        data = world.sign(data, field=f"Signature{number}")
    theirs = cpu(lambda: pyhanko_differences(data), 0)
    ours = cpu(lambda: verify_file(data, "bench", trust, NOW), 0)
    line(f"{count} signatures: pyHanko's differences and digests alone", theirs)
    line(f"{count} signatures: ours, all checks but pictures", ours, "pyHanko (goal: 0.25)", ours / theirs)


def pyhanko_differences(data: bytes) -> None:
    reader = PdfFileReader(BytesIO(data))
    for signature in reader.embedded_signatures:
        signature.compute_integrity_info()


def large_file(world: World, trust: Trust, small: bytes, size: int = 50_000_000) -> None:
    with pikepdf.open(BytesIO(document())) as pdf:
        pdf.attachments["noise"] = os.urandom(size)
        output = BytesIO()
        pdf.save(output, compress_streams=False)
    data = world.timestamp(world.signed(output.getvalue()), SIGNED_AT + timedelta(hours=3))
    hashed = cpu(lambda: hashlib.sha256(data).digest(), 0.5)
    little = cpu(lambda: passes(small, trust), 0.5)
    ours = cpu(lambda: passes(data, trust), 0)
    line(f"{len(data):,} octets: hashing them once", hashed)
    line(
        f"{len(data):,} octets, two signatures: ours",
        ours,
        "hashing, the small file's time off (goal: 2)",
        (ours - little) / hashed,
    )


def command(world: World, data: bytes, count: int = 500) -> None:
    with tempfile.TemporaryDirectory(prefix="camtrust-bench-") as name:
        folder = Path(name)
        (folder / "bundle").write_bytes(world.bundle())
        (folder / "in").mkdir()
        for number in range(count):
            (folder / "in" / f"{number:03}.pdf").write_bytes(data)
        trusted = ["--bundle", str(folder / "bundle"), "--bundle-signer", world.pin]
        one = wall([*COMMAND, "verify", str(folder / "in" / "000.pdf"), *trusted])
        line("the command, one document, from start to end", one)
        start = wall([*COMMAND, "verify", "--help"])
        line("the command's start-up: verify --help", start, "second (goal: 1)", start)
        every = wall([*COMMAND, "verify", str(folder / "in"), "--jobs", "2", *trusted], 1)
        line(f"the command, {count} documents, --jobs 2", every)
        print(f"{'':58} {count / every:9.1f} documents a second")


def wall(arguments: list[str], times: int = 3) -> float:
    """Seconds by the clock, the least of several runs."""
    best = float("inf")
    for _ in range(times):
        begin = time.perf_counter()
        done = subprocess.run(arguments, capture_output=True, check=False, timeout=600)
        best = min(best, time.perf_counter() - begin)
        assert done.returncode in (0, 3), done.stderr[-2000:]
    return best


if __name__ == "__main__":
    sys.exit(main())
