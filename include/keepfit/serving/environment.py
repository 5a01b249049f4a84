"""What the command tells its workers, by the environment."""

ROOT = "KEEPFIT_SERVING_ROOT"
MODELS = "KEEPFIT_SERVING_MODELS"
"""Their names, as JSON."""
SETTINGS = "KEEPFIT_SERVING_SETTINGS"
"""The settings in force, as JSON."""
SEVERAL = "PROMETHEUS_MULTIPROC_DIR"
"""Where several workers put their numbers together; Prometheus' client wants it before it is imported."""
