"""The only door to Feast: registering features, point-in-time joins, the online store.

Belongs here: everything that imports Feast. Does not belong here: what a training set is (`steps`).
Importing this package imports Feast, which takes seconds: import it inside the task that needs it.
"""

from keepfit.backends.feature_store.contents import online_store_of
from keepfit.backends.feature_store.description import FeatureField, ServiceDescription
from keepfit.backends.feature_store.published import published
from keepfit.backends.feature_store.store import FeatureStore
from keepfit.backends.feature_store.view import RegisteredView

__all__ = [
    "FeatureField",
    "FeatureStore",
    "RegisteredView",
    "ServiceDescription",
    "online_store_of",
    "published",
]
