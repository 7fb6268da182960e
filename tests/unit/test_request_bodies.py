"""What the bodies and parameters of requests to the service may hold, and what refusals show."""

import inspect
import pkgutil
from importlib import import_module
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from clusterpass.service import bodies
from clusterpass.service.bodies.requests import (
    QueryParameters,
    RefreshRequest,
    RequestBody,
)

SECRET = "correct horse battery"


def every(base: type[BaseModel]) -> list[type[BaseModel]]:
    """The classes of a kind, wherever they are in the package."""
    modules = pkgutil.iter_modules(bodies.__path__, f"{bodies.__name__}.")
    found = {
        each.__name__: each
        for module in modules
        for _, each in inspect.getmembers(import_module(module.name), inspect.isclass)
        if issubclass(each, base) and each is not base
    }
    return list(found.values())


@pytest.mark.parametrize("kind", [RequestBody, QueryParameters])
def test_no_refusal_shows_what_was_sent(kind: type[BaseModel]) -> None:
    models = every(kind)
    assert models
    for model in models:
        with pytest.raises(ValidationError) as refused:
            model.model_validate({"an unknown field": SECRET, **dict.fromkeys(model.model_fields)})
        assert SECRET not in str(refused.value), model


def test_the_longest_refresh_token_that_is_looked_at() -> None:
    longest = RefreshRequest.model_validate({"refresh_token": "x" * 4096})
    assert len(longest.refresh_token.get_secret_value()) == 4096
    for token in ("", "x" * 4097):
        with pytest.raises(ValidationError):
            RefreshRequest.model_validate({"refresh_token": token})


def test_nothing_in_a_body_is_converted_and_parameters_are() -> None:
    def sent(model: Any, **values: Any) -> Any:
        return model.model_validate(values)

    (shorten,) = [each for each in every(RequestBody) if each.__name__ == "ShortenRequest"]
    (verify,) = [each for each in every(QueryParameters) if each.__name__ == "VerifyQuery"]
    assert sent(shorten, lifetime=60).lifetime == 60
    with pytest.raises(ValidationError):
        sent(shorten, lifetime="60")
    assert sent(verify, max_auth_age="60").max_auth_age == 60
