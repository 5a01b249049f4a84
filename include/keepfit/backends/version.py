"""What a registry keeps of a model's version, beside its files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from keepfit.backends.coding import Kind

TASK, FEATURES, FILES, REFERENCE, RUN = (
    "keepfit.task",
    "keepfit.features",
    "keepfit.sha256",
    "keepfit.reference_sha256",
    "keepfit.run_id",
)
PINS = "keepfit.pins_sha256"
"""The tag that names the record from which a version's training set can be built again."""
_OWN = (TASK, FEATURES, FILES, REFERENCE)


def attached_tag(name: str) -> str:
    """Name the tag that holds the SHA-256 of a file kept beside a version."""
    return f"keepfit.{name}_sha256"


@dataclass(frozen=True)
class VersionDetails:
    """A version: what it takes, how it did, and where it comes from."""

    task: str
    features: Mapping[str, Kind]
    files: Mapping[str, str]
    """The SHA-256 of each file of its folder."""
    reference_sha256: str
    """Of the sample of its training rows."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Its own on the holdout, and `champion.<metric>`, `baseline.<metric>` on the same rows."""
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    """Where it comes from: `keepfit.run_id`, `keepfit.data_digest` and so on."""

    @classmethod
    def of(
        cls, tags: Mapping[str, str], metrics: Mapping[str, float], params: Mapping[str, str]
    ) -> "VersionDetails":
        """Read the details of a version back from its tags.

        Raises:
            KeyError: The version was not registered by keepfit.
        """
        return cls(
            task=tags[TASK],
            features=json.loads(tags[FEATURES]),
            files=json.loads(tags[FILES]),
            reference_sha256=tags[REFERENCE],
            metrics=dict(metrics),
            params=dict(params),
            tags={name: value for name, value in tags.items() if name not in _OWN},
        )

    def all_tags(self) -> dict[str, str]:
        """Return everything that is kept as tags."""
        own = {
            TASK: self.task,
            FEATURES: json.dumps(self.features),
            FILES: json.dumps(self.files, sort_keys=True),
            REFERENCE: self.reference_sha256,
        }
        return {**self.tags, **own}
