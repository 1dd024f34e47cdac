"""Rules of this code that no tool knows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.project.tree import PACKAGES, ROOT, modules, name, syntax, texts

# Who may make, load or hold a private key, and why. Everybody else has a handle.
PRIVATE_KEYS_IN = {
    "hsm_emulation/": "it is the token",
    "camtrust/demo/people.py": "the specimen officer's own key, with which the demo signs assertions as a client",
    "camtrust/cli/review.py": "the key that a review officer brings to sign what they decide, as a client",
    "camtrust/rehearsal.py": "the keys of specimen custodians and a witness, for a rehearsal",
    "root_ca/cosigning.py": "the key that a custodian or witness brings to sign a transcript",
    "ekyc/chip/agreement.py": "the ephemeral key of one agreement with a chip, sealed, for five minutes, good once",
    "ekyc/packets/desk.py": "the key that a station seals to, drawn and opened here, sealed under one in the token",
    "ekyc/packets/packet.py": "the same key, while one packet is opened",
    "foundation/x509/algorithms.py": "keys that nobody trusts, for the signature that is linted before the real one",
}
PRIVATE_KEY_CALLS = {
    "generate_private_key",
    "derive_private_key",
    "load_pem_private_key",
    "load_der_private_key",
    "load_ssh_private_key",
    "from_private_bytes",
    "from_seed_bytes",
    "load_key_and_certificates",
    "load_pkcs12",
}
CLOCK_READS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "gmtime"),
    ("time", "localtime"),
}
NOUNLESS = {"utils", "util", "common", "core", "helpers", "helper", "manager", "managers", "misc"}


def test_files_are_short() -> None:
    """No Python file has more than 400 lines."""
    long = {name(path): count for path in modules(*PACKAGES, "tests", "bench") if (count := _lines(path)) > 400}
    assert not long


def test_modules_have_nouns_for_names() -> None:
    """No module or package is called utils, common, helpers, manager and the like."""
    vague = [name(path) for path in modules() if NOUNLESS & {path.stem, *path.relative_to(ROOT).parts}]
    assert not vague


def test_modules_say_what_they_are() -> None:
    """Every module that holds anything begins with a docstring."""
    silent = [name(path) for path in modules() if syntax(path).body and not ast.get_docstring(syntax(path))]
    assert not silent


def test_tests_say_what_they_show() -> None:
    """The docstring of a test is its published description."""
    silent = [
        f"{name(path)}::{node.name}"
        for path in modules("tests")
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and path.stem.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert not silent


def test_one_place_reads_the_clock() -> None:
    """Only foundation/clock.py reads the system's clock; everybody else takes a Clock."""
    readers = [
        f"{name(path)}:{node.lineno}"
        for path in modules()
        if name(path) != "foundation/clock.py"
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Attribute) and (_last(node.value), node.attr) in CLOCK_READS
    ]
    assert not readers


def test_private_keys_stay_in_the_token() -> None:
    """No module but those named makes or loads a private key."""
    holders = [
        f"{name(path)}:{node.lineno} {found}"
        for path in modules()
        if not name(path).startswith(tuple(PRIVATE_KEYS_IN))
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Attribute | ast.Name) and _makes_a_private_key(found := _last(node), node)
    ]
    assert not holders


def test_no_program_goes_through_a_shell() -> None:
    """Programs are started from lists of arguments."""
    shells = [
        f"{name(path)}:{node.lineno}"
        for path in modules(*PACKAGES, "tests", "bench")
        for node in ast.walk(syntax(path))
        if (isinstance(node, ast.keyword) and node.arg == "shell")
        or (isinstance(node, ast.Attribute) and (_last(node.value), node.attr) in {("os", "system"), ("os", "popen")})
    ]
    assert not shells


@pytest.mark.parametrize("lock", ["runtime", "dev"])
def test_locks_are_hashed_and_name_no_host(lock: str) -> None:
    """Each requirement has one version and hashes; no address, no index, no local path."""
    text = (ROOT / f"requirements/{lock}.lock").read_text()
    names = re.findall(r"^[a-z0-9].*", text, re.MULTILINE)
    hashed = re.findall(r"^[a-z0-9.-]+==[^ ]+.*\\\n +--hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    assert len(names) == len(hashed) > 30
    assert "://" not in text
    assert not re.search(r"--(index|extra-index|find-links|trusted)", text)
    assert not re.search(r"(^|\s)[./~]+/", text)


def test_development_runs_on_the_locked_versions() -> None:
    """What is tested is what is installed: the development lock has the versions of the runtime lock."""
    runtime, dev = (
        set(re.findall(r"^([a-z0-9.-]+==[^ ]+)", (ROOT / f"requirements/{lock}.lock").read_text(), re.MULTILINE))
        for lock in ("runtime", "dev")
    )
    assert runtime <= dev


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    """No absolute path of somebody's folder and no host of a package registry stands in any file."""
    paths = re.compile(r"(?<![\w.})/-])/(?:" + "|".join(("work", "home", "Users", "opt/wheels")) + r")/\w")
    hosts = re.compile("|".join(("py" + r"pi\.org", "python" + r"hosted\.org", "registry\\.npm" + "js")))
    found = [file for file, text in texts() if paths.search(text) or hosts.search(text)]
    assert not found


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def _makes_a_private_key(called: str, node: ast.expr) -> bool:
    generates = called == "generate" and isinstance(node, ast.Attribute) and _last(node.value).endswith("PrivateKey")
    return generates or called in PRIVATE_KEY_CALLS


def _last(node: ast.expr) -> str:
    """The last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
