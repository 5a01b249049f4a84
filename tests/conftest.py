"""How Hypothesis draws, for all tests."""

from typing import Any

from hypothesis import HealthCheck, settings

# A slow machine is no failure.
PATIENT: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

# What passes here passes elsewhere. `--hypothesis-profile fresh` draws what nobody has seen yet.
settings.register_profile("same", derandomize=True, **PATIENT)
settings.register_profile("fresh", print_blob=True, **PATIENT)
settings.load_profile("same")
