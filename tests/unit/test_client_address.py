"""Client addresses: trusted proxies, and the network by which an address is counted."""

from ipaddress import ip_network

import pytest

from clusterpass.model.network_prefixes import counted_address
from clusterpass.web.client_address import client_address, is_trusted_peer

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("::1/128")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["1.1.1.1"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1"], "1.1.1.1"),
        ("10.0.0.1", ["9.9.9.9, 1.1.1.1"], "1.1.1.1"),
        ("10.0.0.1", ["9.9.9.9, 1.1.1.1, 10.2.2.2"], "1.1.1.1"),
        ("10.0.0.1", ["9.9.9.9", "1.1.1.1"], "1.1.1.1"),
        ("10.0.0.1", ["1.1.1.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["nonsense, 10.3.3.3"], "10.3.3.3"),
        ("10.0.0.1", ["1.1.1.1:443"], "1.1.1.1"),
        ("10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("::1", ["2001:db8::1"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["1.1.1.1"], "1.1.1.1"),
        ("10.0.0.1", ["10.9.9.9, 10.8.8.8"], "10.9.9.9"),
        (None, ["1.1.1.1"], None),
        ("socket", ["1.1.1.1"], "socket"),
    ],
)
def test_only_trusted_proxies_are_believed(peer, forwarded, expected):
    assert client_address(peer, forwarded, TRUSTED) == expected


@pytest.mark.parametrize(
    ("peer", "is_trusted"),
    [
        ("10.0.0.1", True),
        ("::ffff:10.0.0.1", True),
        ("::1", True),
        ("203.0.113.9", False),
        ("2001:db8::1", False),
        ("socket", False),
        ("", False),
        (None, False),
    ],
)
def test_who_is_a_trusted_proxy(peer, is_trusted):
    assert is_trusted_peer(peer, TRUSTED) is is_trusted
    assert is_trusted_peer(peer, []) is False


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::/64"),
        ("\ud800", "?"),
        ("x" * 100, "x" * 64),
    ],
)
def test_ipv6_counts_by_its_network(address, counted):
    assert counted_address(address) == counted
