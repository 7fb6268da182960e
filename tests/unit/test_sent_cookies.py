"""Parsing of the Cookie header, and detection of repeated names."""

import pytest

from clusterpass.web.credentials import Credentials, find_credentials
from clusterpass.web.messages import SOCKET, method_of
from clusterpass.web.sent_cookies import read_cookies, sent_cookies
from clusterpass.web.settings import WebSettings

from .web_request import FakeRequest


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([], {}),
        ([""], {}),
        (["a=1"], {"a": "1"}),
        (["a=1; b=2;c=3 ;\td=\t4 "], {"a": "1", "b": "2", "c": "3", "d": "4"}),
        (["a=1", "b=2"], {"a": "1", "b": "2"}),
        (["a=b=c"], {"a": "b=c"}),
        (['a="1"; b="; c=\'1\'; d=""'], {"a": '"1"', "b": '"', "c": "'1'", "d": '""'}),
        (['a="\\061"; b=%31'], {"a": '"\\061"', "b": "%31"}),
        (["a=1, b=2; $Version=1"], {"a": "1, b=2", "$Version": "1"}),
        (["=a=1; a =2"], {"": "a=1", "a": "2"}),
        (["a; =b; ;; c="], {"": "b", "c": ""}),
        (["A=1; a=2"], {"A": "1", "a": "2"}),
        (["a=1; a=1"], {}),
        (["a=1; b=2; a=2; a=1"], {"b": "2"}),
        (["a=1", "a=2"], {}),
        (["a=1; a="], {}),
        (['a=1; a="1"'], {}),
        (["a=1;\ta\t=1"], {}),
        (['a="1; b=2"'], {"a": '"1', "b": '2"'}),
    ],
)
def test_cookies_are_read_as_browsers_write_them(headers: list[str], found: dict[str, str]) -> None:
    assert sent_cookies(headers) == found


@pytest.mark.parametrize(
    "space",
    ["\u2000", "\u00a0", "\u0085", "\u3000", "\ufeff", "\x00", *"\x0b\x0c\x1c\x1d\x1e\x1f\r\n"],
    ids=ascii,
)
def test_no_other_white_space_is_stripped(space: str) -> None:
    for text in (space, space.encode().decode("latin-1")):
        assert sent_cookies([f"{text}a=1; b{text}=2; c={text}3"]) == {
            f"{text}a": "1",
            f"b{text}": "2",
            "c": f"{text}3",
        }


def test_it_is_told_which_names_were_repeated() -> None:
    read = read_cookies(["a=1; b=2; \u00a0b=3", "a=1; c=4"])
    assert (read.values, read.repeated) == ({"b": "2", "\u00a0b": "3", "c": "4"}, {"a"})
    assert "4" not in repr(read)


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ("a=x.y; r=z", Credentials("cookie", "x.y", "z", is_old=True)),
        ('a="x.y="; r=""', Credentials("cookie", "x.y=", None, is_old=True)),
        ('r="', Credentials("cookie", None, '"', is_old=True)),
        ("a=x.y; __Host-clusterpass-refresh=ours", Credentials("cookie", None, "ours")),
        ('a=; r=""', Credentials()),
        ("A=x.y; a.r=z", Credentials()),
    ],
)
def test_cookies_of_another_library_count_where_there_are_none_of_ours(
    sent: str, found: Credentials
) -> None:
    settings = WebSettings(old_access_cookie="a", old_refresh_cookie="r")
    assert find_credentials(FakeRequest(headers={"Cookie": sent}), settings) == found


@pytest.mark.parametrize(
    ("method", "upgrade", "found"),
    [
        ("GET", ["websocket"], SOCKET),
        ("GET", ["h2c, WebSocket"], SOCKET),
        ("GET", ["h2c", "websocket"], SOCKET),
        ("GET", ["websockets"], "GET"),
        ("GET", [], "GET"),
        ("POST", ["websocket"], "POST"),
        ("HEAD", ["websocket"], "HEAD"),
    ],
)
def test_what_opens_a_socket(method: str, upgrade: list[str], found: str) -> None:
    assert method_of(method, upgrade) == found
