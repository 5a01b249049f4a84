"""The example's walk through 2013. It uses only what a user has: the REST API and the ledger."""
