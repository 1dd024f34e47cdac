"""An authenticator app whose codes the token takes, however slow the machine is: each is of a later step than the last.

The token takes the code of the step before, of the present one and of the next (RFC 6238 §5.2), each once. A code that
is shown here stays good for a given time; where the steps so far are used up, showing the next one waits for it.
"""

from __future__ import annotations

import math
import time
from urllib.parse import parse_qs, urlsplit

import pyotp

STEP = 30  # seconds


class Phone:
    """Shows one code after another. ``lasting``: for how many seconds at least the token still takes each of them.

    The shorter it is, the sooner the step before can be shown as well, and the less is waited for a third code.
    """

    def __init__(self, provisioning_uri: str, lasting: float = 30.0) -> None:
        self.secret = parse_qs(urlsplit(provisioning_uri).query)["secret"][0]
        self._totp = pyotp.TOTP(self.secret)
        self._lasting, self._last = lasting, -1

    def code(self, lasting: float | None = None) -> str:
        """The next code, at once or when the token takes it: half a minute for each code before at most."""
        self._last = max(self._last + 1, first_step(time.time(), self._lasting if lasting is None else lasting))
        wait = waiting(time.time(), self._last)
        assert wait <= 2 * STEP, "more codes at once than a person would show"
        time.sleep(wait)
        return str(self._totp.generate_otp(self._last))


def first_step(now: float, lasting: float) -> int:
    """The first step whose code the token takes until ``lasting`` seconds from now: it does to the end of the next."""
    return math.floor((now + lasting) / STEP) - 1


def waiting(now: float, step: int) -> float:
    """Seconds until the token takes the code of ``step``: it does from the beginning of the step before."""
    return max(0.0, (step - 1) * STEP - now)
