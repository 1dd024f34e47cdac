"""PKITS: certification paths with the status of everyone in them, test by test (RFC 5280 §6)."""

from __future__ import annotations

import random

import pytest

from foundation.x509.path_status import PathStatus, Question, check_path_status
from tests.x509.pkits import AT, DEVIATIONS, Case, anchor, cases, everything

CASES = list(cases())
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")  # §4.4.14: serial numbers below zero


def _valid(case: Case, question: Question) -> bool:
    if case.target is None:
        return False
    result = check_path_status(case.target, [anchor()], question)
    return isinstance(result, PathStatus) and result.good


def test_the_suite_is_whole() -> None:
    """All 224 tests of the suite run; each deviation names a test that is there."""
    titles = {case.title for case in CASES}
    assert len(titles) == 224
    assert titles >= DEVIATIONS.keys()
    assert all(DEVIATIONS.values())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_alone(case: Case) -> None:
    """With nothing but what belongs to the test."""
    assert _valid(case, Question(case.certificates, case.evidence, AT, AT, case.rules)) is case.valid


@pytest.mark.parametrize("case", CASES, ids=str)
def test_pooled(case: Case) -> None:
    """With all certificates and CRLs of the suite beside it, in an order that changes from test to test."""
    certificates, evidence = map(list, everything())
    order = random.Random(str(case))  # noqa: S311 (an order, not a secret)
    order.shuffle(certificates)
    order.shuffle(evidence)
    assert _valid(case, Question(certificates, evidence, AT, AT, case.rules)) is case.valid
