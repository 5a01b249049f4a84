"""What the guarded stores have in common: one way in, for messages and for columns."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from feast import FeatureView, RepoConfig
from feast.infra.online_stores.online_store import OnlineStore

from keepfit.backends.feature_store.online.rows import Message, OnlineRows, rows_of_messages


class GuardedOnlineStore(OnlineStore):  # type: ignore[misc]  # feast ships no types
    """A store in which a newer value never gives way to an older one."""

    by_key: ClassVar[bool] = False
    """Whether it writes much faster what comes in the order of the keys."""

    @abstractmethod
    def write(self, config: RepoConfig, view: FeatureView, rows: OnlineRows) -> None:
        """Write the rows that are newer than what is stored, or as new and created no earlier."""

    @abstractmethod
    def loosen(self, config: RepoConfig, view: FeatureView) -> None:
        """Let each of a view's rows give way to any other, once; until then it is served on."""

    @abstractmethod
    def sweep(self, config: RepoConfig, view: FeatureView) -> None:
        """Delete what was loosened and not written since."""

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Message],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write what Feast made into messages, as for a push."""
        for rows in rows_of_messages(data, config.entity_key_serialization_version):
            self.write(config, table, rows)
        if progress:
            progress(len(data))
