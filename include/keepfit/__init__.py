"""keepfit keeps your models fit: retrain when it pays, prove it by replay, undo it in one step."""

__version__ = "0.1.0"
