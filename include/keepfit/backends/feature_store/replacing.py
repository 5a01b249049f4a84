"""Notes in Feast's registry which views are being replaced online, so that one cut short is finished.

Till it is finished, all of the view's stored rows give way to any other, also to an older one.
"""

import hashlib

from feast import FeatureStore as Feast

from keepfit.spec import Window


def being_replaced(feast: Feast, view: str) -> Window | None:
    """Return what a replacement that has not come to its end was to read."""
    noted = feast.registry.get_project_metadata(feast.project, _key(view))
    return Window.of_key(noted) if noted else None


def note(feast: Feast, view: str, reach: Window) -> None:
    """Note what is about to be read in place of all that is stored."""
    feast.registry.set_project_metadata(feast.project, _key(view), reach.key)


def strike(feast: Feast, view: str) -> None:
    """Strike the note; Feast deletes none."""
    feast.registry.set_project_metadata(feast.project, _key(view), "")


def _key(view: str) -> str:
    """Name a view in the fifty characters that Feast has for it."""
    return f"keepfit.replacing.{hashlib.sha256(view.encode()).hexdigest()[:32]}"
