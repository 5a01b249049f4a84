"""A run: gives each step its inputs, stores its outputs, hands on references.

Belongs here: which step reads what another wrote, and under which name it is stored. Does not belong here:
how a step works (`steps`), or what starts it (`airflow`, the CLI).
"""
