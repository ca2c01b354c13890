"""What /metrics shows, as numbers."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from delivery.service.app import App


def samples(app: App) -> dict[tuple[str, str], float]:
    """Value by name and by the last label's value."""
    registry = CollectorRegistry()
    registry.register(app.recorder.metrics)
    app.recorder.flush()
    return parse(generate_latest(registry).decode())


def parse(text: str) -> dict[tuple[str, str], float]:
    return {
        (sample.name, next(reversed(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
