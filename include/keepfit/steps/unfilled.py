"""Unfilled: features of which part of the published rows has no value, since their column came later."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from keepfit.backends.lake import Lake
from keepfit.backends.lake_gaps import Gap, gaps_of
from keepfit.spec import DatasetSpec
from keepfit.spec.content import Content, Contents

_FEATURE = "features."
_RENAMED = "fieldMapping."


@dataclass(frozen=True)
class Unfilled:
    """A feature that is missing in whole stretches of what is published."""

    feature: str
    view: str
    dataset: str
    column: str
    gap: Gap

    def __str__(self) -> str:
        """Say it in full."""
        gap = self.gap
        which = f"{gap.rows:,} of {gap.of:,}" if gap.rows < gap.of else f"all {gap.of:,}"
        when = (
            f", from {gap.first:%Y-%m-%d %H:%M} to {gap.last:%Y-%m-%d %H:%M}"
            if gap.first and gap.last
            else ""
        )
        renamed = f" ({self.column})" if self.column != self.feature else ""
        return (
            f"{self.feature}{renamed} of the view {self.view} has no value in {which} published rows of "
            f"{self.dataset}{when}"
        )


def unfilled(
    contents: Contents,
    lake: Lake,
    datasets: Mapping[str, DatasetSpec],
    *,
    service: str | None = None,
    versions: Mapping[str, int] | None = None,
) -> Iterator[Unfilled]:
    """Find the features that are missing in whole stretches of their dataset.

    Args:
        contents: What is registered, or would be.
        lake: Where datasets are published.
        datasets: Their specs.
        service: Look at the views of this feature service only.
        versions: The published versions to look at; the newest where not given.
    """
    for view in _views(contents, service):
        for source, name in _tables(contents, view):
            if name not in datasets or not lake.exists(name):
                continue
            columns = _columns(view, source)
            files = lake.files(name, (versions or {}).get(name))
            gaps = gaps_of(files, columns.values(), datasets[name].event_time)
            for feature, column in columns.items():
                if column in gaps:
                    yield Unfilled(feature, view.name, name, column, gaps[column])


def _views(contents: Contents, service: str | None) -> Iterator[Content]:
    wanted = {f"feature service {service}"} if service else set(contents)
    for _ in range(2):  # A service names on-demand views, and these name the views they read.
        wanted |= {used for label in wanted if label in contents for used in contents[label].uses}
    yield from (each for each in contents.values() if each.kind == "feature view" and each.label in wanted)


def _tables(contents: Contents, view: Content) -> Iterator[tuple[Content, str]]:
    for label in view.uses:
        if (source := contents.get(label)) and source.kind == "source":
            yield from ((source, used.removeprefix("dataset ")) for used in source.uses)


def _columns(view: Content, source: Content) -> dict[str, str]:
    """Return the published column of each feature."""
    renamed = {
        feature: path.removeprefix(_RENAMED)
        for path, feature in source.properties.items()
        if path.startswith(_RENAMED)
    }
    names = dict.fromkeys(path.split(".")[1] for path in view.properties if path.startswith(_FEATURE))
    return {name: renamed.get(name, name) for name in names}
