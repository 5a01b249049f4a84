"""A policy of the user's own: a function in `plugins/`, or of an installed package."""

from typing import cast

from keepfit import plugins
from keepfit.errors import PolicyError
from keepfit.policy.findings import Finding, Policy, Seen
from keepfit.spec.policy import Own


def ask(rule: Own, seen: Seen) -> Finding:
    """Ask it.

    Raises:
        UnknownPluginError: There is no such function.
        PolicyError: It does not take the parameters, fails, or gives something else than a finding.
    """
    policy = own_policy(rule)
    try:
        found = policy(seen)
    except Exception as error:
        raise PolicyError(
            f"The policy {rule.function!r} failed on the window ending {seen[-1].window_end.isoformat()}: "
            f"{type(error).__name__}: {error}. Correct it: what it cannot know it answers with fires=None."
        ) from error
    if not isinstance(found, Finding):
        raise PolicyError(
            f"The policy {rule.function!r} gave {found!r}. "
            "Give a keepfit.policy.Finding(trigger, fires, text)."
        )
    return found


def own_policy(rule: Own) -> Policy:
    """Find its function and give it the parameters; it returns the policy.

    Raises:
        UnknownPluginError: There is no such function.
        PolicyError: It does not take the parameters, or gives nothing that can be asked.
    """
    maker = plugins.find("policies", rule.function)
    given = ", ".join(f"{name}={value!r}" for name, value in rule.params.items()) or "no parameters"
    try:
        policy = maker(**rule.params)
    except (TypeError, ValueError) as error:
        raise PolicyError(
            f"The policy {rule.function!r} does not take {given}: {error}. Correct `params`."
        ) from error
    if not callable(policy):
        raise PolicyError(
            f"The policy {rule.function!r} with {given} gave {policy!r}, which cannot be asked. "
            "It takes the parameters and returns a function from windows to a Finding."
        )
    return cast("Policy", policy)
