"""Faster ways to score a few rows: same file names as the trainers, each adopted only where it agrees.

Belongs here: what turns a loaded model into a function of a coded matrix. Does not belong here: anything
that opens a store or a request. The door to treelite is `sklearn.py`.
"""

from keepfit.backends.row_scorers.choose import RowScorer, choose_scorer
from keepfit.backends.row_scorers.coder import RowCoder, Value

__all__ = ["RowCoder", "RowScorer", "Value", "choose_scorer"]
