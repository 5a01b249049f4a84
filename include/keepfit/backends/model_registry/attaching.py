"""Files kept beside a version that is there already, such as its model card."""

from pathlib import Path

from keepfit.backends import model_files
from keepfit.backends.model_registry.place import Place
from keepfit.backends.model_registry.quiet import told
from keepfit.backends.version import attached_tag


def attach(place: Place, model: str, version: str, *files: Path) -> None:
    """Keep files under their names; one that is kept already stays as it is."""
    with told(f"Version {version} of {model} cannot be given {', '.join(each.name for each in files)}"):
        client = place.client()
        found = client.get_model_version(model, version)
        for file in files:
            if attached_tag(file.name) not in found.tags:
                client.log_artifact(found.run_id, str(file))
                digest = model_files.sha256(file)
                client.set_model_version_tag(model, version, attached_tag(file.name), digest)
