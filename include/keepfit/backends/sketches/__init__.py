"""Sketches: a column's counts in a few kilobytes, mergeable in any order, made by the engine in one go.

Belongs here: the type, how it is merged, made and stored. Does not belong here: what two of them say of each
other (`steps.distances`).
"""

from keepfit.backends.sketches.cells import CAP
from keepfit.backends.sketches.columns import sketch_columns
from keepfit.backends.sketches.files import read_sketches, write_sketches
from keepfit.backends.sketches.sketch import Kind, Sketch, sketch_values

__all__ = ["CAP", "Kind", "Sketch", "read_sketches", "sketch_columns", "sketch_values", "write_sketches"]
