"""Running the services of a home: the key daemon and the simulated registry as child processes, and the web server."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn
from starlette.types import ASGIApp

from camtrust.assembly import Services, assemble
from camtrust.errors import PortBusy
from camtrust.home import Home
from camtrust.keys import attached_token, service_keys, services_token
from camtrust.settings import Settings
from camtrust.web.at_hand import AtHandProtocol
from ekyc.registry_simulation.process import RegistryProcess
from foundation.clock import Clock

if TYPE_CHECKING:
    from camtrust.workers import Workers

HOST = "127.0.0.1"
_START = 120.0  # seconds: on a busy machine a process that is slow to start is none that hangs
_COLLECTED_AFTER = (
    20_000  # objects that a call may make before cycles among them are looked for: a call of 250 makes more
)


@contextmanager
def opened(
    home: Home, settings: Settings, clock: Clock, *, supervised: bool = False, rolled_back: bool = False
) -> Iterator[Services]:
    """The services of a home, with the processes that they need, for as long as the block runs.

    ``supervised``: a key daemon that dies is started again. ``rolled_back``: to reconcile a database that is behind.
    """
    with ExitStack() as stack:
        token = stack.enter_context(services_token(home, settings, supervised=supervised))
        keys = stack.enter_context(service_keys(settings, token))
        registry = settings.registry.url or stack.enter_context(RegistryProcess.start()).url
        services = assemble(home, settings, clock, token, registry, keys=keys, rolled_back=rolled_back)
        stack.callback(services.close)
        yield services


@contextmanager
def attached(home: Home, settings: Settings, clock: Clock, registry_url: str) -> Iterator[Services]:
    """The services of a home over the key daemon and the registry that another process runs: this one starts none.

    Raises what the token raises; TokenUnavailable where no key daemon answers.
    """
    with attached_token(home, settings) as token, service_keys(settings, token) as keys:
        services = assemble(home, settings, clock, token, registry_url, keys=keys)
        try:
            yield services
        finally:
            services.close()


@dataclass(frozen=True)
class Listening:
    """A web server that answers at ``url``."""

    url: str
    port: int


@contextmanager
def listening(app: ASGIApp, port: int = 0) -> Iterator[Listening]:
    """Serve ``app`` on the loopback interface in a thread; port 0 takes any free one. Raises PortBusy."""
    listener = bind(port)
    server = uvicorn.Server(_config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="web", daemon=True)
    thread.start()
    try:
        taken = listener.getsockname()[1]
        waited = threading.Event()
        for _ in range(int(_START / 0.02)):
            if server.started or not thread.is_alive():
                break
            waited.wait(0.02)
        yield Listening(f"http://{HOST}:{taken}", taken)
    finally:
        server.should_exit = True
        thread.join(_START)
        listener.close()


def serve(app: ASGIApp, port: int) -> None:
    """Serve ``app`` until SIGINT or SIGTERM. Raises PortBusy."""
    with bind(port) as listener:
        serve_on(app, listener)


def serve_on(app: ASGIApp, listener: socket.socket, workers: Workers | None = None) -> None:
    """Serve ``app`` until SIGINT or SIGTERM, which ends the ``workers`` on the same socket too."""
    rarely_collect()
    _Server(_config(app), workers).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Ends other processes with itself: a signal that it took is given on as soon as it has shut down."""

    def __init__(self, config: uvicorn.Config, workers: Workers | None) -> None:
        super().__init__(config)
        self._workers = workers

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Connections are accepted one at a time, for asyncio would take as many at once as may wait: one process would
        have them all while the others are idle. As many as usual may wait all the same."""
        waiting, self.config.backlog = self.config.backlog, 1
        await super().startup(sockets)
        for one in sockets or ():
            one.listen(waiting)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._workers is not None:
            self._workers.ask_to_end()
        await super().shutdown(sockets)
        if self._workers is not None:
            await asyncio.to_thread(self._workers.stop)


def log_lines() -> None:
    """How a process that serves writes its log: lines to standard error."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)


def rarely_collect() -> None:
    """For a process that is about to serve: what it has loaded stays for its life and is not searched for cycles again,
    and what requests make (which has next to none) is searched less often than after every few hundred objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_AFTER, 10, 10)


def bind(port: int) -> socket.socket:
    """A listening socket on the loopback interface. Raises PortBusy."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise PortBusy(port=port) from None
    return listener


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=AtHandProtocol,
        proxy_headers=False,  # who asks is never what a header says
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        lifespan="off",
    )
