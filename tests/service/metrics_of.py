"""Scrapes the metrics of a service and parses them."""

import time
from collections.abc import Callable

import httpx
from prometheus_client.parser import text_string_to_metric_families

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(address: str) -> Values:
    """All samples, by name and sorted labels."""
    answer = httpx.get(f"http://{address}/metrics")
    answer.raise_for_status()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(values: Values, metric: str, **labels: str) -> float:
    """The sum of the samples of ``metric`` that have these labels, and maybe others."""
    return sum(
        number
        for (name, given), number in values.items()
        if name == metric and labels.items() <= dict(given).items()
    )


def awaited(address: str, is_so: Callable[[Values], bool]) -> Values:
    """Scrape until it ``is_so``; the values of a worker are a second old at most."""
    deadline = time.monotonic() + 20
    while True:
        try:
            values = scraped(address)
        except httpx.TransportError:
            values = {}
        if values and is_so(values):
            return values
        assert time.monotonic() < deadline, {
            key: number for key, number in values.items() if number and "_bucket" not in key[0]
        }
        time.sleep(0.1)
