"""The simulated registry as a child process: starts it, knows its address, stops it. It ends with its parent."""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType

import httpx2

from ekyc.errors import RegistryUnavailable

_PATIENCE = 20.0


class RegistryProcess:
    """A running simulated registry."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{port}"

    @classmethod
    def start(cls, port: int = 0) -> RegistryProcess:
        """Start it and wait until it listens. Raises RegistryUnavailable when it does not come up."""
        command = [sys.executable, "-m", "ekyc.registry_simulation", "--port", str(port), "--with-parent"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None  # noqa: S101 - asked for above
        line = process.stdout.readline().strip()
        if not line.isdigit():
            process.kill()
            process.wait()
            raise RegistryUnavailable
        return cls(process, int(line))

    @property
    def pid(self) -> int:
        return self._process.pid

    def switch(self, *, outage: bool = False, broken: bool = False, delay_seconds: float = 0) -> None:
        """Change how it behaves."""
        wanted = {"outage": outage, "broken": broken, "delay_seconds": delay_seconds}
        with httpx2.Client(trust_env=False, timeout=_PATIENCE) as client:
            client.post(f"{self.url}/admin/switch", json=wanted).raise_for_status()

    def stop(self) -> None:
        """Stop it; safe to repeat."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> RegistryProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
