"""Server-sent events are formatted as a parser by the rules of WHATWG HTML 9.2.6 reads them."""

import pytest
from hypothesis import given, strategies as st

from clusterpass import InvalidInput
from clusterpass.integrations.server_sent_events import ServerSentEvent, idle_of, last_event
from clusterpass.integrations.streams import StreamEnd

TEXT = st.text(st.characters(codec="utf-8"))
ONE_LINE = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1)


def parse(stream: bytes) -> list[tuple[str, str, str]]:
    """Return the events that a browser dispatches: name, data and last id of each."""
    dispatched = []
    name, data, last_id = "", "", ""
    for line in stream.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                dispatched.append((name or "message", data.removesuffix("\n"), last_id))
            name, data = "", ""
        elif field == "event":
            name = value
        elif field == "data":
            data += value + "\n"
        elif field == "id" and "\0" not in value:
            last_id = value
    return dispatched


@given(TEXT, ONE_LINE, ONE_LINE, TEXT)
def test_an_event_is_read_as_it_was_written(data, name, identity, comment):
    event = ServerSentEvent(data, event=name, id=identity, comment=comment)
    read = data.replace("\r\n", "\n").replace("\r", "\n")
    assert parse(event.encode() * 2) == [(name, read, identity)] * 2


def test_the_bytes_of_an_event():
    event = ServerSentEvent("one\ntwo", event="news", id="7", retry=3, comment="c")
    assert event.encode() == b": c\nevent: news\nid: 7\nretry: 3\ndata: one\ndata: two\n\n"
    assert ServerSentEvent(retry=5000).encode() == b"retry: 5000\n\n"
    assert ServerSentEvent(retry=0).encode() == b"retry: 0\n\n"
    assert ServerSentEvent(comment="alone").encode() == b": alone\n\n"
    assert parse(ServerSentEvent("").encode()) == [("message", "", "")]


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b"])
def test_a_field_cannot_be_broken_out_of(bad):
    for fields in ({"event": bad}, {"id": bad}):
        with pytest.raises(InvalidInput):
            ServerSentEvent("data", **fields)


@pytest.mark.parametrize("bad", [-1, 1.5, 1e6, True, "5000"])
def test_a_time_to_reconnect_that_browsers_ignore_is_refused(bad):
    with pytest.raises(InvalidInput, match="whole number of milliseconds"):
        ServerSentEvent(retry=bad)


def test_the_last_event_tells_the_code_and_the_reason():
    ended = last_event(StreamEnd(4401, "session_revoked: revoked"))
    assert ended.encode() == (
        b'event: session_ended\ndata: {"code": 4401, "reason": "session_revoked: revoked"}\n\n'
    )
    assert last_event(StreamEnd(4403, "scope_missing")).event == "forbidden"
    outage = last_event(StreamEnd(4503, "store_unavailable"))
    assert (outage.event, outage.retry is not None) == ("unavailable", True)


def test_comments_cannot_flood_a_client():
    assert idle_of(15, "comment") == (15, "comment")
    assert idle_of(None, "comment") is None
    for seconds in (0, -1, float("nan")):
        with pytest.raises(InvalidInput):
            idle_of(seconds, "comment")
