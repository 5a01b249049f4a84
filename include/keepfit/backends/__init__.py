"""Ways to do a step with an outside library. Each library has one door here, and only one.

Belongs here: what knows DuckDB, Delta Lake, Great Expectations, Feast, MLflow, Evidently, Optuna
or a trainer.
Does not belong here: which step runs when (`pipeline`), or what a step means (`steps`).
"""
