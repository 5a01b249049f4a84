"""Files on S3, through fsspec, since DuckDB's own extension for it would have to be downloaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keepfit.errors import SourceError


@dataclass(frozen=True)
class S3:
    """What a path on S3 names, and the file system that reads it."""

    system: Any
    files: list[str]


def is_s3(path: str) -> bool:
    """Tell whether a path lies on S3."""
    return path.startswith("s3://")


def s3_files(path: str, storage: Mapping[str, Any]) -> S3:
    """List the files a path or glob names.

    Raises:
        SourceError: The `aws` extra is missing, or S3 does not answer or refuses.
    """
    system = s3_system(storage)
    try:
        return S3(system, sorted(f"s3://{found}" for found in system.glob(path)))
    except Exception as error:
        # Whatever the network, the credentials and botocore come up with; none of it is ours to handle.
        raise SourceError(
            f"{path} cannot be listed: {error}. Check the bucket's name and, in `source.connection`, "
            "the credentials and the endpoint."
        ) from error


def s3_system(storage: Mapping[str, Any]) -> Any:
    """Return the file system that reads and writes `s3://` paths.

    Raises:
        SourceError: The `aws` extra is missing.
    """
    try:
        from s3fs import S3FileSystem
    except ImportError:
        raise SourceError(
            "Using s3:// paths needs the package s3fs. Install it with: pip install 'keepfit[aws]'"
        ) from None
    options = dict(storage)
    region = options.pop("region", None)
    client = {"client_kwargs": {"region_name": region}} if region else {}
    # Instances and listings are cached for the life of a process, which would hide new files and credentials.
    return S3FileSystem(**options, **client, skip_instance_cache=True, use_listings_cache=False)
