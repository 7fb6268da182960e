"""``doctor.examine``: options passed on, and arguments refused before any connection."""

from typing import Any

import pytest

from clusterpass import ConfigurationError, InvalidInput
from clusterpass.doctor import DoctorOptions, examination, examine

from .doctor_snapshots import sound


def test_the_deployment_is_looked_at_as_the_options_say(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def collect(location: Any, options: Any) -> Any:
        asked.append((location.seeds, options))
        return sound()

    monkeypatch.setattr(examination, "collect_snapshot", collect)
    options = DoctorOptions(durability="fsync", write=True)
    report = examine("redis+cluster://10.0.0.1:7000", options, only=["tls"])
    assert report.checks == 1
    (((address,), given),) = asked
    assert (str(address), given) == ("10.0.0.1:7000", options)
    every = examine("redis+cluster://10.0.0.1:7000", options)
    assert every.checks - 1 == examine("redis://10.0.0.1", options, ignore=["tls"]).checks
    asked.clear()
    for wrong in ({"only": ["tsl"]}, {"ignore": ["tsl"]}, {"only": ["tls"], "ignore": ["tls"]}):
        with pytest.raises(InvalidInput):
            examine("redis://10.0.0.1", options, **wrong)
    with pytest.raises(ConfigurationError):
        examine("mysql://10.0.0.1", options)
    assert asked == []
