"""Incidents as a person meets them: what has happened, who waits, and what may be answered."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from keepfit.errors import ConfError
from keepfit.ledger import Decision, Incident, IncidentAnswer, Ledger
from keepfit.pipeline.answers import Answers, is_released
from keepfit.spec.problem import did_you_mean

_SHOWN = 20
_IS = {"fault": "a fault", "real": "real"}


@dataclass(frozen=True)
class Case:
    """One incident with all that belongs to it."""

    incident: Incident
    answers: Answers
    """To this incident and to all others."""
    decisions: tuple[Decision, ...]
    """The held and the blocked, by model."""

    @property
    def answer(self) -> IncidentAnswer | None:
        """What was said of it; None while it is open."""
        return self.answers.get(self.incident.key)

    def models(self, verdict: str) -> tuple[str, ...]:
        """Name the models with a decision of this verdict."""
        return tuple(dict.fromkeys(each.model for each in self.decisions if each.verdict == verdict))

    @property
    def to_train(self) -> tuple[str, ...]:
        """Name the held models whose trainings an answer starts."""
        held = (each for each in self.decisions if each.verdict == "held" and not each.restrained)
        return tuple(dict.fromkeys(each.model for each in held if each.key not in self._kept_back))

    @property
    def restrained(self) -> tuple[str, ...]:
        """Name the held models that no answer trains, since a cool-down or a budget keeps them back."""
        return tuple(each for each in self.models("held") if each not in self.to_train)

    @property
    def subject(self) -> str:
        """Ask the question in one line."""
        count = max(len(self.models("held")) + len(self.models("blocked")), 1)
        models = "1 model waits" if count == 1 else f"{count} models wait"
        return f"Is {self.incident.view} broken? {models} for an answer"

    @property
    def body(self) -> str:
        """Tell in Markdown what was seen, who waits, and what each answer does."""
        from keepfit.backends.page import plain_text

        seen, window = self.incident, self.incident.window
        lean = "1 model leans on" if seen.models == 1 else f"{seen.models} models lean on"
        facts = (
            f"From **{window.start:%Y-%m-%d %H:%M}** to **{window.end:%Y-%m-%d %H:%M}** UTC the feature view "
            f"**{plain_text(seen.view)}**, which {lean}, moved at once:\n\n"
            + "\n".join(f"- {plain_text(each)}" for each in seen.reason.split("; "))
        )
        waiting = "\n".join(f"- {plain_text(line)}" for line in self._waiting())
        return f"{facts}\n\n{waiting}\n\n{_MEANING}"

    @property
    def consequence(self) -> str:
        """Say what was answered and what follows."""
        if self.answer is None:
            return f"{self.incident.key} is not answered yet."
        said, held, rest = self.answer, len(self.models("held")), self.restrained
        how = f"{self.incident.key} is {_IS[said.answer]}, says {said.who}: {said.why}."
        if said.answer == "real":
            kept = f" Not trained all the same, by cool-down or budget: {len(rest)}." if rest else ""
            way = "".join(f" {_named(names)}: {why}." for why, names in self._gave_way().items())
            trained, others = self._by_release()
            more = f" Another incident decides about {_named(others)}." if others else ""
            return f"{how} The models it held are trained, each once: {len(trained)}.{kept}{way}{more}"
        return (
            f"{how} No training of the models it held is started: {held}. The window is left out of "
            "trainings until it is published anew."
        )

    @property
    def _kept_back(self) -> Mapping[str, str]:
        return (self.answer.kept_back if self.answer else None) or {}

    def _by_release(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Name those that are trained, and those that another incident holds as well."""
        released = {each.model for each in self.decisions if is_released(each, self.answers)}
        trained = tuple(name for name in self.to_train if name in released)
        return trained, tuple(name for name in self.to_train if name not in released)

    def _gave_way(self) -> dict[str, tuple[str, ...]]:
        """Name the models that are not trained by what was asked for or released meanwhile, by the reason."""
        found: dict[str, tuple[str, ...]] = {}
        for each in self.decisions:
            if each.key in self._kept_back and each.model in self.restrained:
                why = self._kept_back[each.key]
                found[why] = (*found.get(why, ()), each.model)
        return found

    def _waiting(self) -> Iterator[str]:
        if held := self.to_train:
            yield f"held, to be trained if it is real ({len(held)}): {_named(held)}"
        if held := self.restrained:
            yield f"held, and kept from training by cool-down or budget ({len(held)}): {_named(held)}"
        if blocked := self.models("blocked"):
            yield f"blocked by broken data, whatever the answer ({len(blocked)}): {_named(blocked)}"


_MEANING = """**fault**: the data was wrong. No held training is started, and the window is left out of \
later trainings until it is published anew.

**real**: the world has changed. Each held model is trained once, as of the end of its window, unless its \
cool-down or a budget keeps it back.

The first answer stands. Say why: it is kept in the ledger."""


def find_case(ledger: Ledger, key: str) -> Case:
    """Return an incident with its answer and its decisions.

    Raises:
        ConfError: There is no such incident.
    """
    incident = ledger.incident(key)
    if incident is None:
        known = [each.key for each in ledger.incidents()]
        raise ConfError(
            f"There is no incident {key!r}.{did_you_mean(key, known)} `keepfit incidents` lists those there "
            "are."
        )
    return Case(incident, ledger.incident_answers(), tuple(ledger.concerned(incident)))


def find_cases(ledger: Ledger) -> list[Case]:
    """List all incidents, the open ones first, the newest of each before the older."""
    answers = ledger.incident_answers()
    found = [Case(each, answers, tuple(ledger.concerned(each))) for each in reversed(ledger.incidents())]
    return sorted(found, key=lambda case: case.answer is not None)


def _named(models: tuple[str, ...]) -> str:
    more = f" and {len(models) - _SHOWN} more" if len(models) > _SHOWN else ""
    return ", ".join(models[:_SHOWN]) + more
