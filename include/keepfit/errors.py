"""Every error keepfit raises on purpose. Each text says where, what, and what to do now."""


class KeepfitError(Exception):
    """Base of all errors raised on purpose."""


class SpecError(KeepfitError):
    """A file under `feature_repo/` says something keepfit cannot do."""


class ConfError(KeepfitError):
    """A trigger's `conf` holds a key or a value this DAG does not take."""


class UnknownPluginError(KeepfitError):
    """A spec names a plugin that is not installed."""


class SourceError(KeepfitError):
    """A source cannot be read, or lacks what the dataset declares."""


class SchemaError(KeepfitError):
    """Extracted rows do not have the declared columns or types."""


class ValidationFailedError(KeepfitError):
    """A critical expectation failed: the window stops and nothing of it is published."""


class TransformError(KeepfitError):
    """A transform's SQL fails or returns rows without the declared key or event time."""


class FeatureStoreError(KeepfitError):
    """The feature repository and the feature store disagree."""


class EditError(FeatureStoreError):
    """An edit of `feature_repo/` is broken, or deletes without leave: nothing of it is applied."""


class TrainingError(KeepfitError):
    """A training set cannot train a model."""


class RegistryError(KeepfitError):
    """The model registry does not hold what was asked of it."""


class UntrustedModelError(RegistryError):
    """A model's files are not those recorded, or hold types outside the allow-list."""


class DeploymentError(KeepfitError):
    """An alias was not moved, or not to where it should be."""


class NotServedError(DeploymentError):
    """An alias was moved and recorded, and a prediction server does not follow it."""


class PolicyError(KeepfitError):
    """A policy of one's own does not answer as one must."""


class LedgerError(KeepfitError):
    """The ledger's database is missing, does not answer, or does not take a record."""


class DecisionError(LedgerError):
    """A decision contradicts one already in the ledger."""


class ReplayError(KeepfitError):
    """A policy cannot be replayed over what is there, or not at such a price."""


class NotReadyError(KeepfitError):
    """Something this step needs is not published yet; trying again later may work."""


class StorageError(KeepfitError):
    """A disk is full, or a published file vanished while it was read."""


class EmbeddedError(KeepfitError):
    """A part of the embedded profile does not start, or died too often."""
