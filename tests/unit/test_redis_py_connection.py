"""Connections of redis-py: timeouts, retries, and TLS as a store URL says."""

import ssl
from typing import Any

from redis.retry import Retry

from clusterpass.store.address import Address
from clusterpass.store.store_url import parse_store_url
from clusterpass.store.wire.redis_py import (
    connection_options,
    make_connection,
)


def options(url: str) -> dict[str, Any]:
    location = parse_store_url(url)
    made = connection_options(location, Address("h", 7), Retry, location.fixed_credentials)
    assert made.pop("retry").get_retries() == 0
    assert made.pop("maint_notifications_config").enabled is False
    return made


PLAIN = {
    "host": "h",
    "port": 7,
    "username": None,
    "password": None,
    "socket_timeout": 0.5,
    "socket_connect_timeout": 0.5,
    "protocol": 2,
    "driver_info": None,
}


def test_a_connection_has_short_timeouts_and_no_retries() -> None:
    assert options("redis://other") == PLAIN
    own = {"username": "u", "password": "p", "socket_timeout": 0.7, "socket_connect_timeout": 0.7}
    assert options("redis://u:p@other?timeout=0.7") == {**PLAIN, **own}


def test_tls_checks_the_certificate_and_the_name() -> None:
    url = "rediss+cluster://other:7"
    for query, name in (("", "127.0.0.1"), ("?server_name=n", "n"), ("?verify_by=seed", "other")):
        made: Any = make_connection(parse_store_url(url + query), Address("127.0.0.1", 7))
        assert made._context.verify_mode is ssl.CERT_REQUIRED
        assert made._context.check_hostname
        assert (made.host, made._name) == ("127.0.0.1", name)
