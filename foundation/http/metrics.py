"""Counters of answered requests, in the Prometheus text format (version 0.0.4). For one process."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class RequestMetrics:
    """Requests by method, route template and status, and the seconds they took. Labels never hold what was sent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._seconds: defaultdict[tuple[str, str], float] = defaultdict(float)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        with self._lock:
            self._requests[method, route, status] += 1
            self._seconds[method, route] += seconds

    def text(self) -> str:
        """The page that a Prometheus server reads."""
        with self._lock:
            requests, seconds = sorted(self._requests.items()), sorted(self._seconds.items())
        lines = [
            "# HELP camtrust_http_requests_total Answered requests.",
            "# TYPE camtrust_http_requests_total counter",
        ]
        for (method, route, status), number in requests:
            lines.append(f'camtrust_http_requests_total{{{_labels(method, route)},status="{status}"}} {number}')
        lines += [
            "# HELP camtrust_http_request_seconds_total Seconds spent answering.",
            "# TYPE camtrust_http_request_seconds_total counter",
        ]
        for (method, route), value in seconds:
            lines.append(f"camtrust_http_request_seconds_total{{{_labels(method, route)}}} {value:.6f}")
        return "\n".join(lines) + "\n"


def _labels(method: str, route: str) -> str:
    return f'method="{_escaped(method)}",route="{_escaped(route)}"'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
