"""Machine-readable zones (ICAO Doc 9303 parts 3 to 7): read with every check digit, repair only what is unique.

``reading.read`` gives a :class:`~ekyc.mrz.reading.Mrz` or says which fields are wrong; ``repair.propose`` gives the
one text that satisfies all digits, for the person to confirm; ``writing.write`` composes specimens. Numbers stay text.
"""

from ekyc.mrz.finding import found_lines
from ekyc.mrz.layouts import MRV_A, MRV_B, TD1, TD2, TD3, Layout
from ekyc.mrz.reading import FieldFailure, Mrz, MrzDate, Problem, examine, normalise, read
from ekyc.mrz.repair import propose
from ekyc.mrz.writing import write

__all__ = [
    "MRV_A",
    "MRV_B",
    "TD1",
    "TD2",
    "TD3",
    "FieldFailure",
    "Layout",
    "Mrz",
    "MrzDate",
    "Problem",
    "examine",
    "found_lines",
    "normalise",
    "propose",
    "read",
    "write",
]
