"""Online stores and an engine for any Feast repository: guarded, and encoded by columns instead of by values.

Belongs here: what `feature_store.yaml` may name as `online_store` or `batch_engine`. Does not belong here:
anything that knows of keepfit's projects, datasets or lake.
"""
