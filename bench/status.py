"""How fast status and time are told over HTTP, by one worker, beside what stands at either end.

    python -m bench.status

- raw: sign + verify of a digest with `cryptography`, P-256, in process (`bench.raw`).
- nginx: the same responses as files, asked by the same client; one worker. What no Python server can beat.
- ours: the whole web stack in a process of its own (uvicorn, one worker), keys in that process's memory, or in the
  emulated HSM in another process. P-256 throughout, SQLite.
- `openssl ocsp` as a responder (in a network namespace, because it listens on every interface), and `openssl ts`, which
  answers one request a process.

Wall-clock rates suffer from neighbours; the CPU time of the server for each answer suffers less. Both are printed, of
the best of three rounds. One worker can use one CPU at most: what it answers in a CPU-second is what it can do on a
machine of its own.
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.goals import goal
from bench.load import Load, best_load, get, post
from bench.raw import raw_sign_verify_rate

_OCSP, _TSA = "application/ocsp-request", "application/timestamp-query"


def main() -> None:
    raw = raw_sign_verify_rate()
    print(f"{'raw: sign + verify, P-256, per CPU-second':56} {raw:9,.0f} /s   {1e6 / raw:6.0f} us CPU", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="camtrust-bench-", dir="/tmp"))
    try:
        with _served(folder / "memory", "memory") as (pids, asked):
            base = _files_behind_nginx(folder / "nginx", asked)
            _lines("key in memory", pids, asked, base)
        with _served(folder / "token", "token") as (pids, asked):
            _lines("key in the emulated HSM", pids, asked, base)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _race()


def _lines(where: str, pids: Sequence[int], asked: Mapping[str, Any], base: Load | None) -> None:
    port = asked["port"]
    plain, nonced, stamps = (_decoded(asked[name]) for name in ("plain", "nonced", "stamps"))
    measured = {}
    if where == "key in memory":
        measured["OCSP kept, GET"] = best_load(port, pids, [get(_path(one)) for one in plain])
        measured["OCSP kept, POST"] = best_load(port, pids, [post("/ocsp", _OCSP, one) for one in plain])
    live, stamp = f"OCSP live with a nonce, POST, {where}", f"timestamp, {where}"
    measured[live] = best_load(port, pids, [post("/ocsp", _OCSP, one) for one in nonced])
    measured[stamp] = best_load(port, pids, [post("/tsa", _TSA, one) for one in stamps])
    for what, one in measured.items():
        _line(what, one, base)
    if where == "key in memory":
        for what, least in (("OCSP kept, GET", 10_000), ("OCSP kept, POST", 10_000), (live, 5_000), (stamp, 4_000)):
            rate = measured[what].per_cpu_second
            goal(what, f"{least:,} a CPU-second", f"{rate:,.0f}", rate >= least)
            if base is not None and least == 10_000:
                times = measured[what].cpu / base.cpu
                goal(what, "6 x nginx's CPU", f"{times:.1f} x", times <= 6)


def _line(what: str, measured: Load, base: Load | None) -> None:
    times = f"{measured.cpu / base.cpu:5.1f} x nginx" if base is not None else ""
    cpu = f"{measured.cpu:6.0f} us CPU = {measured.per_cpu_second:9,.0f} a CPU-second"
    print(f"{what:56} {measured.rate:9,.0f} /s   {cpu}   {times}", flush=True)


@contextmanager
def _served(folder: Path, where: str) -> Iterator[tuple[Sequence[int], Mapping[str, Any]]]:
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "bench.status_server", str(folder), where]
    server = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        _wait(lambda: (folder / "ready.json").exists() or server.poll() is not None)
        yield (server.pid,), json.loads((folder / "ready.json").read_text(encoding="utf-8"))
    finally:
        if server.stdin is not None:
            server.stdin.close()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _files_behind_nginx(folder: Path, asked: Mapping[str, Any]) -> Load | None:
    """Static responses by nginx; None where it is not installed."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if program is None:
        print("nginx is not installed: no line for files (apt-get install nginx-light)")
        return None
    paths = []
    for request, response in zip(asked["plain"], _decoded(asked["responses"]), strict=True):
        file = folder / "files" / "ocsp" / request
        with suppress(NotADirectoryError, IsADirectoryError):  # '/' is a digit of base64
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(response)
            paths.append(f"/ocsp/{request}")
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log; user root;\n"
        "events { worker_connections 256; }\n"
        f"http {{ access_log off; keepalive_requests 10000000; open_file_cache max=1000; sendfile on; "
        f"client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; "
        f"uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n"
        f"server {{ listen 127.0.0.1:{port}; root {folder}/files; default_type application/ocsp-response; }} }}\n",
        encoding="utf-8",
    )
    server = subprocess.Popen([program, "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(configuration)])
    try:
        _wait(lambda: _answers(port) or server.poll() is not None)
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text(encoding="ascii").split()
        measured = best_load(port, [int(child) for child in children], [get(path) for path in paths])
        _line("OCSP as files behind nginx, GET", measured, measured)
        return measured
    finally:
        server.terminate()
        server.wait(20)


def _race() -> None:
    """`openssl ocsp` and `openssl ts` in a network namespace of their own, where only loopback is."""
    program = [sys.executable, "-m", "bench.status_openssl"]
    alone = ["unshare", "--map-root-user", "--net"]
    done = subprocess.run([*alone, *program], check=False, timeout=120)
    if done.returncode != 0:
        print("openssl was not raced: no network namespace can be made here")


def _path(request: bytes) -> str:
    return "/ocsp/" + base64.b64encode(request).decode().replace("+", "%2B")


def _decoded(values: Sequence[str]) -> list[bytes]:
    return [base64.b64decode(value) for value in values]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _wait(holds: Any, tries: int = 1200) -> None:
    for _ in range(tries):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it did not start")


if __name__ == "__main__":
    main()
