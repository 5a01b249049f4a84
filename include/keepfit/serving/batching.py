"""Slow work in a thread: what was asked while it worked is its next batch. Nobody waits to fill one."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from keepfit.serving.refused import RefusedError

Q = TypeVar("Q")
A = TypeVar("A")


class Batcher(Generic[Q, A]):
    """Turns questions asked one by one into calls with many."""

    def __init__(
        self, work: Callable[[list[Q]], Sequence[A]], *, name: str, most: int, seconds: float
    ) -> None:
        """Prepare a thread; it starts with the first question.

        Args:
            work: Answers many questions, in their order.
            name: What it is, for who has to be told that it is busy.
            most: How many questions may wait.
            seconds: How long one may take, waiting included.
        """
        self._work, self._name, self._most, self._seconds = work, name, most, seconds
        self._waiting: list[tuple[list[Q], asyncio.Future[Sequence[A]]]] = []
        self._held = 0
        self._running: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def ask(self, questions: list[Q]) -> Sequence[A]:
        """Return the answers, once they are there.

        Raises:
            RefusedError: Too many wait already, or it took too long.
        """
        if self._held + len(questions) > max(self._most, len(questions)):
            raise RefusedError(503, f"{self._name} is busy: {self._held} rows wait. Try again later.")
        answer: asyncio.Future[Sequence[A]] = asyncio.get_running_loop().create_future()
        self._waiting.append((questions, answer))
        self._held += len(questions)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(self._seconds):
                return await answer
        except TimeoutError:
            raise RefusedError(503, f"{self._name} did not answer within {self._seconds:g} s.") from None

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            if not await self._do(batch):
                for each in batch:
                    await self._do([each])
            self._held -= sum(len(questions) for questions, _ in batch)
        self._running = None

    async def _do(self, batch: list[tuple[list[Q], asyncio.Future[Sequence[A]]]]) -> bool:
        """Answer a batch; one that fails is done again one by one, so that nobody pays for another's row."""
        every = [question for questions, _ in batch for question in questions]
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, self._work, every)
        except Exception as error:  # noqa: BLE001 - it belongs to who asked
            if len(batch) > 1:
                return False
            if not batch[0][1].done():
                batch[0][1].set_exception(error)
            return True
        start = 0
        for questions, answer in batch:
            if not answer.done():
                answer.set_result(answers[start : start + len(questions)])
            start += len(questions)
        return True
