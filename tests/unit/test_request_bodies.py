"""Bodies and query parameters of service requests: limits, and refusals without values."""

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


# What the aliases Subject, Reason, Scope, Password, DeviceType, Seconds and BanLevel stand for.
CURSOR = "^([0-9]{1,20}-[0-9]{1,20})?$"
SUBJECT = {"minLength": 1, "maxLength": 255}
SECONDS = {"default": None, "minimum": 1, "maximum": 316_224_000}
KIND_OF_DEVICE = {"default": None, "pattern": "^[A-Za-z0-9_.-]{1,16}$"}
PASSWORD = {"minLength": 1, "maxLength": 1024, "format": "password", "writeOnly": True}
LIMITS: dict[str, dict[str, dict[str, Any]]] = {
    "BanRequest": {
        "subject!": SUBJECT,
        "reason": {"maxLength": 200, "default": ""},
        "for_seconds": SECONDS,
        "scope": {"maxLength": 255, "default": ""},
        "level": {"minimum": 1, "maximum": 1000, "default": 1},
    },
    "ClaimsRequest": {"subject!": SUBJECT, "claims!": {}},
    "ImpersonationRequest": {
        "subject!": SUBJECT,
        "reason!": {"minLength": 1, "maxLength": 200},
        "for_seconds": {"minimum": 1, "maximum": 3600, "default": 900},
    },
    "LoginRequest": {
        "username!": SUBJECT,
        "password!": PASSWORD,
        "device": {"default": None},
        "device_type": KIND_OF_DEVICE,
        "remember": {"default": False},
        "replace": {"default": None, "pattern": "^[A-Za-z0-9_-]{22}$"},
    },
    "LinkRequest": {"token!": PASSWORD | {"maxLength": 512}, "new_password!": PASSWORD},
    "MakeLinkRequest": {"subject!": SUBJECT, "send_to": {"default": None, "maxLength": 254}},
    "PasswordRequest": {
        "current_password!": PASSWORD,
        "new_password!": PASSWORD,
        "end_others": {"default": True},
    },
    "RefreshRequest": {"refresh_token!": PASSWORD | {"maxLength": 4096}},
    "RevokeBeforeRequest": {"time": {"default": None, "minimum": 1, "exclusiveMaximum": 2**32}},
    "ShortenRequest": {"lifetime": SECONDS, "idle_lifetime": SECONDS},
    "SubjectRequest": {"subject!": SUBJECT},
    "DeleteUserQuery": {"subject!": SUBJECT, "erase": {"default": False}},
    "StepUpRequest": {"password!": PASSWORD},
    "EndSessionsQuery": {
        "subject!": SUBJECT,
        "session_id": {"default": None},
        "device_type": KIND_OF_DEVICE,
        "reason": {"maxLength": 200, "default": ""},
    },
    "AuditQuery": {
        "after": {"default": None, "pattern": CURSOR},
        "before": {"default": None, "pattern": CURSOR},
        "limit": {"minimum": 1, "maximum": 1000, "default": 100},
    },
    "LiftBanQuery": {"subject!": SUBJECT, "scope": {"maxLength": 255, "default": ""}},
    "OnlineQuery": {
        "cursor": {"default": None},
        "limit": {"minimum": 1, "maximum": 200, "default": 50},
    },
    "OwnSessionsQuery": {"device_type": KIND_OF_DEVICE},
    "SubjectQuery": {"subject!": SUBJECT},
    "VerifyQuery": {
        "level": {"default": None},
        "max_auth_age": SECONDS | {"minimum": 0},
        "scope": {"maxItems": 32, "default": []},
        "not_banned": {"maxItems": 32, "default": []},
        "ban_level": {"default": None, "minimum": 1, "maximum": 1000},
        "verification": {"default": None, "const": "strict"},
        "outage_grace": {"default": None, "minimum": 0, "maximum": 3600},
    },
}
"""What each member may be (! required), in the words of JSON Schema."""


def limits_of(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    schema = model.model_json_schema()
    assert schema["additionalProperties"] is False, model
    words = {"default", "minLength", "maxLength", "minimum", "maximum", "maxItems", "pattern"}
    words |= {"const", "format", "writeOnly", "exclusiveMaximum"}
    found = {}
    for name, member in schema["properties"].items():
        parts = [member, *member.get("anyOf", [])]
        limits = {word: part[word] for part in parts for word in words & part.keys()}
        found[name + "!" * (name in schema.get("required", ()))] = limits
    return found


@pytest.mark.parametrize("kind", [RequestBody, QueryParameters])
def test_the_limits_of_every_member(kind: type[BaseModel]) -> None:
    models = {each.__name__: limits_of(each) for each in every(kind)}
    assert models == {name: LIMITS[name] for name in models}
    assert models.keys() <= LIMITS.keys()
