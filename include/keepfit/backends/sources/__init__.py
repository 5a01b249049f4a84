"""Where rows come from: one module per kind of source, each writes a window's rows as Parquet.

Belongs here: reaching the rows, and casting them to the declared columns. Does not belong here: judging
them (`steps.check_schema`, `steps.validate`).
"""
