"""Common expectation types as one SQL scan, with the verdicts and counts of Great Expectations.

Belongs here: what a suite's entry means in SQL, and running it. A module says None to what it cannot write
down exactly; Great Expectations itself looks at that. Does not belong here: great_expectations, pandas.
"""
