"""All checks in turn, each in processes of its own, and the report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

from camtrust.errors import ProbeTokenNotSpoilable
from camtrust.keys import throwaway_daemon
from camtrust.probe.targets import EMULATED, Target, without_pin_source
from camtrust.probe.worker import ANSWER
from foundation.keys.errors import KeyStoreError
from foundation.keys.pkcs11 import errors as module_errors
from foundation.keys.pkcs11.uri import parse_uri
from foundation.keys.probe.report import SPOILABLE, Finding, Verdict, overall

_THREADS_ALONE = 3  # runs: what crashes is a race
_LONGEST = 300.0  # seconds for one check

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How far to go. ``sample``: keys made to judge whether 17 million work; ``seconds``: for each rate;
    ``cold_starts``: processes that start at once.
    """

    sample: int = 120
    seconds: float = 1.0
    cold_starts: int = 20
    spoil_pin: bool = False


@dataclass(frozen=True)
class Report:
    """What came of a run. ``seconds``: how long it took."""

    target: str
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def verdict(self) -> Verdict:
        return overall(self.findings)

    def data(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "target": self.target,
            "verdict": self.verdict,
            "seconds": round(self.seconds, 1),
            "findings": [finding.data() for finding in self.findings],
        }


def probe(address: str, pin: str, options: Options, progress: Progress) -> Report:
    """Probe the token at ``address``: ``emulated:`` for one that is made for this and thrown away, else RFC 7512.

    Raises what opening the token raises; ProbeTokenNotSpoilable when wrong PINs are asked for on a token whose label
    does not say that it may be spoilt.
    """
    with _target(address, pin) as target:
        return _Probe(target, options, progress).run(without_pin_source(address))


@contextmanager
def _target(address: str, pin: str) -> Iterator[Target]:
    if address != EMULATED:
        parse_uri(without_pin_source(address))
        yield Target(pin, address=without_pin_source(address))
        return
    with throwaway_daemon() as (daemon, own_pin):
        yield Target(own_pin, socket=os.fspath(daemon.socket_path))


class _Probe:
    def __init__(self, target: Target, options: Options, progress: Progress) -> None:
        self._target, self._options, self._progress = target, options, progress
        self._prefix = f"camtrust-probe-{os.urandom(4).hex()}"
        self._findings: list[Finding] = []

    def run(self, shown: str) -> Report:
        begin, plain = time.monotonic(), self._target.address is not None
        module = self._one("module", fatal=True)
        if plain and self._options.spoil_pin and SPOILABLE not in module.details["label"].lower():
            raise ProbeTokenNotSpoilable(label=module.details["label"])
        try:
            self._findings.append(module)
            self._add("threads")
            if plain:
                self._findings.append(_worst([self._one("threads, by itself") for _ in range(_THREADS_ALONE)]))
            self._add("fork")
            if plain:
                self._findings.append(_cautious(self._one("fork, by itself")))
            self._findings.append(self._cold_starts())
            if plain:
                self._findings.append(self._cold_starts_alone())
            for check in ("mechanisms", "rates", "key protection", "unwrap downgrade", "17 million keys"):
                self._add(check)
        finally:
            swept = self._one("left behind")
        self._findings.append(self._lockout(plain))
        self._findings.append(swept)
        return Report(shown, tuple(self._findings), time.monotonic() - begin)

    def _add(self, check: str) -> None:
        self._findings.append(self._one(check))

    def _lockout(self, plain: bool) -> Finding:
        if plain and not self._options.spoil_pin:
            said = f"it spoils the token: give --spoil-pin and a token whose label says '{SPOILABLE}'"
            return Finding("PIN lock-out", Verdict.NOT_TRIED, said)
        return self._one("PIN lock-out")

    def _cold_starts(self) -> Finding:
        key = self._one("make key")
        if key.verdict is not Verdict.PASS:
            return Finding("cold start", key.verdict, key.summary)
        found = self._at_once("cold start", self._options.cold_starts, key_id=key.summary)
        _Worker("destroy key", self._target, self._prefix, {"key_id": key.summary}).finding()
        failed = [one for one in found if one.verdict is not Verdict.PASS]
        details = {"processes": self._options.cold_starts, "failures": len(failed)}
        if failed:
            said = f"{len(failed)} of {self._options.cold_starts} processes failed, one by: {failed[0].summary}"
            return Finding("cold start", Verdict.FAIL, said, details)
        return Finding(
            "cold start", Verdict.PASS, f"{self._options.cold_starts} processes at once, 0 failures", details
        )

    def _cold_starts_alone(self) -> Finding:
        check = "cold start, by itself"
        found = self._at_once(check, self._options.cold_starts)
        failed = [one for one in found if one.verdict is not Verdict.PASS]
        details = {"processes": self._options.cold_starts, "failures": len(failed)}
        if failed:
            said = f"{len(failed)} of {len(found)} processes failed with no lock between them: {failed[0].summary}"
            return Finding(check, Verdict.CAUTION, said, details)
        said = f"{self._options.cold_starts} processes at once with no lock between them, 0 failures"
        return Finding(check, Verdict.PASS, said, details)

    def _at_once(self, check: str, count: int, **options: Any) -> list[Finding]:
        self._progress(f"{check}: {count} processes at once")
        workers = [_Worker(check, self._target, self._prefix, options) for _ in range(count)]
        return [worker.finding() for worker in workers]

    def _one(self, check: str, *, fatal: bool = False) -> Finding:
        self._progress(check)
        options = {"sample": self._options.sample, "seconds": self._options.seconds}
        worker = _Worker(check, self._target, self._prefix, options)
        return worker.finding(lambda said: self._progress(f"{check}: {said}"), fatal=fatal)


class _Worker:
    """A process that does one check."""

    def __init__(self, check: str, target: Target, prefix: str, options: dict[str, Any]) -> None:
        self._check = check
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "camtrust.probe.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        request = {"check": check, "target": asdict(target), "prefix": prefix, "options": options}
        assert self._process.stdin is not None  # noqa: S101 (PIPE)
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request))
            self._process.stdin.close()

    def finding(self, progress: Progress = lambda _: None, *, fatal: bool = False) -> Finding:
        """Wait for it. A crash, or no answer in time, fails the check; ``fatal``: an error of the token is raised."""
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        patience = threading.Timer(_LONGEST, end)
        patience.daemon = True
        patience.start()
        last: dict[str, Any] = {}
        output = self._process.stdout
        assert output is not None  # noqa: S101 (PIPE)
        try:
            for line in output:
                if line.startswith(ANSWER):
                    last = json.loads(line.removeprefix(ANSWER))
                    if "progress" in last:
                        progress(last["progress"])
            code = self._process.wait()
        finally:
            patience.cancel()
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            output.close()
        if late.is_set():
            return Finding(self._check, Verdict.FAIL, f"no answer within {_LONGEST:.0f} s")
        if code < 0:
            return Finding(self._check, Verdict.FAIL, f"the process crashed: {signal.Signals(-code).name}")
        if "error" in last:
            if fatal:
                raise _error(last["error"]["code"], last["error"]["params"])
            return Finding(self._check, Verdict.FAIL, f"{last['error']['code']} ({last['error']['ckr']})")
        if "finding" not in last:
            return Finding(self._check, Verdict.UNKNOWN, f"the check broke off (exit code {code})")
        return Finding.read(last["finding"])


def _worst(found: Sequence[Finding]) -> Finding:
    """Of several runs of a race, the first that went wrong; as a caution."""
    bad = [one for one in found if one.verdict is not Verdict.PASS]
    if not bad:
        return found[0]
    return _cautious(Finding(bad[0].check, bad[0].verdict, f"in {len(bad)} of {len(found)} runs: {bad[0].summary}"))


def _cautious(found: Finding) -> Finding:
    """What the module does without our care is a caution at most."""
    if found.verdict is Verdict.FAIL:
        return Finding(found.check, Verdict.CAUTION, found.summary, found.details)
    return found


def _error(code: str, params: dict[str, Any]) -> KeyStoreError:
    """The error that a worker met."""
    classes = [*KeyStoreError.__subclasses__()]
    assert module_errors.ModuleInvalid in classes  # noqa: S101 (imported, so that it is among them)
    return next((one(**params) for one in classes if one.code == code), KeyStoreError())
