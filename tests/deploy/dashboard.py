"""The Prometheus queries of the panels in the dashboard of ``deploy/grafana``."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .programs import DEPLOY


@dataclass(frozen=True)
class Query:
    """One of the lines of a panel, or one for each label."""

    title: str
    asked: str
    legend: str

    def name(self, labels: dict[str, str]) -> str:
        """Return the name of a line in the legend, as Grafana makes it."""
        text = self.legend
        for label, value in labels.items():
            text = text.replace(f"{{{{{label}}}}}", value)
        return text


def panels(titles: Iterable[str], *, window: str) -> Iterator[Query]:
    """The queries of these panels, in order, for all jobs; rates are those of ``window``."""
    board = json.loads((DEPLOY / "grafana" / "clusterpass.json").read_text("utf-8"))
    by_title = {panel["title"]: panel for panel in board["panels"]}
    for title in titles:
        for target in by_title[title]["targets"]:
            asked = target["expr"].replace("$job", ".+").replace("$__rate_interval", window)
            yield Query(title, asked, target.get("legendFormat", ""))
