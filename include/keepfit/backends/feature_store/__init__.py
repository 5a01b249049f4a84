"""The only door to Feast: registering features, point-in-time joins, the online store.

Belongs here: everything that imports Feast. Does not belong here: what a training set is (`steps`).
Importing this package imports Feast, which takes seconds: import it inside the task that needs it.
"""

import warnings

# Where it is imported, Feast turns deprecation warnings on for the whole process, everybody's.
with warnings.catch_warnings():
    import feast.feature_store  # noqa: F401

from keepfit.backends.feature_store.contents import online_store_of
from keepfit.backends.feature_store.definitions import RestoredStore, definitions_digest
from keepfit.backends.feature_store.description import FeatureField, ReadColumn, ServiceDescription
from keepfit.backends.feature_store.online_answer import OnlineRows
from keepfit.backends.feature_store.online_reader import OnlineReader
from keepfit.backends.feature_store.origins import FeatureOrigin
from keepfit.backends.feature_store.published import published
from keepfit.backends.feature_store.store import FeatureStore
from keepfit.backends.feature_store.texts import kept_definitions, read_definitions
from keepfit.backends.feature_store.view import RegisteredView

__all__ = [
    "FeatureField",
    "FeatureOrigin",
    "FeatureStore",
    "OnlineReader",
    "OnlineRows",
    "ReadColumn",
    "RegisteredView",
    "RestoredStore",
    "ServiceDescription",
    "definitions_digest",
    "kept_definitions",
    "online_store_of",
    "published",
    "read_definitions",
]
