"""Chips of electronic travel documents (ICAO 9303-10/11/12): what their files prove, and what they do not.

:func:`authenticate` judges files, :func:`prove_possession` adds the chip's answer to a challenge (active
authentication), :func:`prove_by_agreement` its answer in a session of ours (chip authentication). Pure: no clock, no
store, no network.
"""

from ekyc.chip.active import Challenge, prove_possession
from ekyc.chip.agreement import Agreement, prove_by_agreement
from ekyc.chip.authenticate import authenticate, issuer_of
from ekyc.chip.verdict import CLAUSES, ChipOutcome, ChipVerdict, Proof, Rule, Standing, Step

__all__ = [
    "CLAUSES",
    "Agreement",
    "Challenge",
    "ChipOutcome",
    "ChipVerdict",
    "Proof",
    "Rule",
    "Standing",
    "Step",
    "authenticate",
    "issuer_of",
    "prove_by_agreement",
    "prove_possession",
]
