"""Parsing of store URLs: options, addresses, and errors."""

from urllib.parse import quote

import pytest
from hypothesis import example, given, strategies as st

from clusterpass.model.errors import ConfigurationError, StoreFailed
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.address import Address, SentinelAddress, reached_through
from clusterpass.store.drivers.aio import AsyncStore
from clusterpass.store.drivers.sync import SyncStore
from clusterpass.store.patience import Patience
from clusterpass.store.store_url import parse_store_url, redact_store_url
from tests.field.certificates import Authority

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("url", "is_cluster", "has_tls"),
    [
        ("redis+cluster://h:1", True, False),
        ("rediss+cluster://h:1", True, True),
        ("redis://h:1", False, False),
        ("rediss://h:1", False, True),
        ("valkey+cluster://h:1", True, False),
        ("valkeys+cluster://h:1", True, True),
        ("valkey://h:1", False, False),
        ("valkeys://h:1", False, True),
    ],
)
def test_the_scheme_says_cluster_and_tls(url, is_cluster, has_tls):
    location = parse_store_url(url)
    assert location.seeds == (Address("h", 1),)
    assert location.is_cluster is is_cluster
    assert (location.tls_files is not None) is has_tls
    assert not location.is_embedded


def test_the_defaults():
    location = parse_store_url("redis://h")
    assert location.seeds == (Address("h", 6379),)
    assert location.username is None
    assert location.password is None
    assert location.keyspace == Keyspace("cp")
    assert location.patience == Patience()


def test_a_slash_at_the_end_changes_nothing():
    assert parse_store_url("redis://h:1/") == parse_store_url("redis://h:1")


@pytest.mark.parametrize("url", ["redis://h:1/0", "redis://h:1?db=0", "redis+cluster://h:1/0/"])
def test_database_0_may_be_named(url):
    assert parse_store_url(url).seeds == parse_store_url("redis://h:1").seeds


def test_a_socket():
    location = parse_store_url("unix://u:p@/run/the%20store.sock?timeout=1&db=0")
    (seed,) = location.seeds
    assert (seed.is_socket, str(seed)) == (True, "/run/the store.sock")
    assert (location.username, location.password) == ("u", "p")
    assert not location.is_cluster
    assert location.tls_files is None
    assert not Address("h", 1).is_socket
    assert redact_store_url(f"unix://u:{SECRET}@/run/s.sock") == "unix://u:***@/run/s.sock"


@pytest.mark.parametrize("scheme", ["redis", "valkey", "rediss", "valkeys"])
def test_sentinels(scheme):
    location = parse_store_url(
        f"{scheme}+sentinel://app:{SECRET}@a,[::1]:2/the%20shop/0?sentinel_password=of%26them"
        "&sentinel_username=client&namespace=n"
    )
    assert location.seeds == (SentinelAddress("a", 26379), SentinelAddress("::1", 2))
    assert (location.service, location.looks_up, location.is_cluster) == ("the shop", True, False)
    assert (location.username, location.password) == ("app", SECRET)
    assert (location.tls_files is not None) is (scheme in {"rediss", "valkeys"})
    of_sentinel = location.reaching(location.seeds[0])
    assert (of_sentinel.username, of_sentinel.password) == ("client", "of&them")
    assert location.reaching(Address("a", 26379)) is location
    assert "of&them" not in repr(location)


def test_sentinels_without_a_password():
    location = parse_store_url(f"redis+sentinel://:{SECRET}@a/shop/")
    assert location == parse_store_url(f"valkey+sentinel://:{SECRET}@a:26379/shop?db=0")
    of_sentinel = location.reaching(location.seeds[0])
    assert (of_sentinel.username, of_sentinel.password) == (None, None)
    url = f"redis+sentinel://u:{SECRET}@a,b:1/shop?sentinel_password={SECRET}"
    assert redact_store_url(url) == "redis+sentinel://u:***@a,b:1/shop"


def test_embedded():
    location = parse_store_url("embedded://?nodes=3&data=/tmp/x&namespace=n&timeout=1")
    assert location.is_embedded
    assert location.is_cluster
    assert location.seeds == ()
    assert location.embedded_options == {"nodes": "3", "data": "/tmp/x"}
    assert location.keyspace == Keyspace("n")
    assert location.patience.timeout == 1


def test_several_seeds_of_every_kind():
    location = parse_store_url("redis+cluster://a.example:1,[::1]:2,10.0.0.3:3,[fe80::1],d")
    assert location.seeds == (
        Address("a.example", 1),
        Address("::1", 2),
        Address("10.0.0.3", 3),
        Address("fe80::1", 6379),
        Address("d", 6379),
    )


def test_addresses_are_written_as_they_are_read():
    assert str(Address("::1", 5)) == "[::1]:5"
    assert str(Address("h", 5)) == "h:5"


def test_every_option(tmp_path):
    files = {name: tmp_path / name for name in ("ca_file", "cert_file", "key_file")}
    for path in files.values():
        path.write_text("x")
    query = "&".join(f"{name}={path}" for name, path in files.items())
    location = parse_store_url(
        "rediss://h?namespace=app.one&timeout=1.5&deadline=9&replica_wait=0"
        f"&max_connections=7&{query}"
    )
    assert location.keyspace == Keyspace("app.one")
    assert location.patience == Patience(timeout=1.5, deadline=9, replica_wait=0, max_connections=7)
    assert location.tls_files == {name: str(path) for name, path in files.items()}


@pytest.mark.parametrize(
    ("user_info", "username", "password"),
    [
        ("u:p", "u", "p"),
        (":p", None, "p"),
        ("u", "u", None),
        ("u:p:q", "u", "p:q"),
        ("u:p@q", "u", "p@q"),
        ("u:p/q#r,s", "u", "p/q#r,s"),
        ("u%3Av:%40%3A%2F%3F%23%25", "u:v", "@:/?#%"),
        ("u:p+q", "u", "p+q"),
        ("%C3%BC:%E2%82%AC", "ü", "€"),
    ],
)
def test_user_and_password(user_info, username, password):
    location = parse_store_url(f"redis+cluster://{user_info}@h:1,i:2")
    assert (location.username, location.password) == (username, password)
    assert location.seeds == (Address("h", 1), Address("i", 2))


def test_the_password_is_not_shown():
    location = parse_store_url(f"redis://u:{SECRET}@h:1")
    assert location.password == SECRET
    assert SECRET not in repr(location)
    assert (
        redact_store_url(f"redis+cluster://u:{SECRET}@h:1,i:2") == "redis+cluster://u:***@h:1,i:2"
    )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "must begin with"),
        ("h:1", "must begin with"),
        ("http://u:s3cr3t@h:1", "must begin with"),
        ("REDIS://u:s3cr3t@h:1", "must begin with"),
        ("redis://", "''"),
        ("redis://u:s3cr3t@", "''"),
        ("redis://u:s3cr3t@h:0", "'h:0'"),
        ("redis://u:s3cr3t@h:65536", "'h:65536'"),
        ("redis://u:s3cr3t@h:x", "'h:x'"),
        ("redis://u:s3cr3t@h:٣", "'h:٣'"),
        ("redis://u:s3cr3t@::1", "'::1'"),
        ("redis://u:s3cr3t@[::1", "'[::1'"),
        ("redis://u:s3cr3t@a..b:1", "'a..b:1'"),
        ("redis://u:s3cr3t@.:1", "'.:1'"),
        (f"redis://u:s3cr3t@{'a' * 64}.example", "is not host:port"),
        (f"redis://u:s3cr3t@{'a.' * 200}example", "is not host:port"),
        ("rediss://u:s3cr3t@h:1?server_name=a..b", "server_name"),
        (f"rediss://u:s3cr3t@h:1?server_name={'a' * 64}", "server_name"),
        ("redis://u:s3cr3t@h:1/1", "database '1'"),
        ("redis://u:s3cr3t@h:1?db=2", "database '2'"),
        ("redis+cluster://u:s3cr3t@h:1,i:2/x", "database 'x'"),
        ("unix://u:s3cr3t@/run/s.sock?db=1", "database '1'"),
        ("unix://u:s3cr3t@h:1", "not the path of a socket"),
        ("unix://u:s3cr3t@", "not the path of a socket"),
        ("unix:///run/?ca_file=x", "TLS files"),
        ("redis+cluster://u:s3cr3t@h:1,,i:2", "''"),
        ("redis+cluster://u:s3cr3t@h:1,i j:2", "'i j:2'"),
        ("redis://u:s3cr3t@h:1,i:2", "several addresses"),
        ("redis+sentinel://u:s3cr3t@h,i", "names no service"),
        ("redis+sentinel://u:s3cr3t@h/", "names no service"),
        ("redis+sentinel://u:s3cr3t@h/shop/1", "database '1'"),
        ("redis+sentinel://u:s3cr3t@h//0", "names no service"),
        ("redis+sentinel://u:s3cr3t@h/shop?ca_file=x", "TLS files"),
        ("redis://h?sentinel_password=s3cr3t", "'sentinel_password'"),
        ("redis://u:s3cr3t@h?color=red", "'color'"),
        ("redis://u:s3cr3t@h?timeout", "name=value"),
        ("redis://u:s3cr3t@h?timeout=1&timeout=1", "twice"),
        ("redis://u:s3cr3t@h?timeout=soon", "timeout"),
        ("redis://u:s3cr3t@h?timeout=nan", "timeout"),
        ("redis://u:s3cr3t@h?deadline=inf", "deadline"),
        ("redis://u:s3cr3t@h?max_connections=", "max_connections"),
        ("redis://u:s3cr3t@h?max_connections=2.5", "max_connections"),
        ("redis://u:s3cr3t@h?max_connections=0", "max_connections"),
        ("redis://u:s3cr3t@h?max_connections=1e300", "max_connections"),
        ("redis://u:s3cr3t@h?timeout=0", "timeout"),
        ("redis://u:s3cr3t@h?timeout=3&deadline=2", "deadline"),
        ("redis://u:s3cr3t@h?deadline=301", "deadline"),
        ("redis://u:s3cr3t@h?replica_wait=-1", "replica_wait"),
        ("redis://u:s3cr3t@h?replica_wait=0.5", "replica_wait"),
        ("redis://u:s3cr3t@h?namespace=a:b", "namespace"),
        ("redis://u:s3cr3t@h?namespace=", "namespace"),
        ("redis://u:s3cr3t@h?ca_file=/", "TLS files"),
        ("rediss://u:s3cr3t@h?ca_file=/no/such/file", "ca_file"),
        ("rediss://u:s3cr3t@h?nodes=3", "'nodes'"),
        ("redis://u:s3cr3t@h?nodes=3", "'nodes'"),
        ("embedded://h:1", "embedded://"),
        ("embedded://u:s3cr3t@", "embedded://"),
        ("embedded://?ca_file=/", "'ca_file'"),
        ("embedded://?color=red", "'color'"),
        # An unencoded question mark in the password: whatever follows it may be secret.
        ("redis://u:s3c?r3t@h:1", "percent-encode"),
        ("redis://u:s3c?timeout=r3t@h:1", "percent-encode"),
        ("redis://u:x@s3c!?r3t=1@h:1", "percent-encode"),
    ],
)
def test_an_error_names_the_part_and_never_the_password(url, said):
    with pytest.raises(ConfigurationError) as refusal:
        parse_store_url(url)
    assert said in refusal.value.message
    for secret in (SECRET, "s3c", "r3t"):
        assert secret not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_certificate_and_its_key_go_together(tmp_path):
    (tmp_path / "x").write_text("x")
    for name in ("cert_file", "key_file"):
        with pytest.raises(ConfigurationError, match="go together"):
            parse_store_url(f"rediss://h?{name}={tmp_path}/x")


@pytest.mark.parametrize("value", ["x" * 5000, "%00", "/dev/null/x", "%FF", ""])
def test_a_path_that_can_be_no_file_is_refused(value):
    with pytest.raises(ConfigurationError, match="ca_file"):
        parse_store_url(f"rediss://h?ca_file={value}")


@pytest.mark.parametrize("url", [None, 7, b"redis://h", ["redis://h"]])
def test_what_is_no_text_is_refused(url):
    with pytest.raises(ConfigurationError):
        parse_store_url(url)


SCHEMES = st.sampled_from(
    ["redis://", "rediss://", "redis+cluster://", "rediss+cluster://", "embedded://", ""]
)
OPTIONS = st.sampled_from(
    ["namespace", "timeout", "deadline", "replica_wait", "max_connections", "ca_file", "nodes"]
)
PIECES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["@", ":", ",", "?", "&", "=", "[::1]", "h:1", "%", "%00", "%ff", "/", "#"]),
    st.builds("{}={}".format, OPTIONS, st.one_of(st.text(max_size=8), st.floats().map(str))),
)


@given(st.builds(lambda scheme, pieces: scheme + "".join(pieces), SCHEMES, st.lists(PIECES)))
@example("redis://[::1")
@example("redis://\ud800@h?namespace=\ud800")
@example("rediss://h?ca_file=%00")
@example("redis://h?timeout=1_0")
def test_nothing_but_a_configuration_error_is_raised(url):
    try:
        location = parse_store_url(url)
    except ConfigurationError as error:
        assert error.message
    else:
        assert location.is_embedded or location.seeds


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_password_can_be_written(username, password):
    from urllib.parse import quote

    try:
        user_info = f"{quote(username, safe='')}:{quote(password, safe='')}"
    except UnicodeEncodeError:  # lone surrogates have no encoding
        return
    location = parse_store_url(f"redis://{user_info}@h:1")
    assert (location.username, location.password) == (username, password)
    assert location.seeds == (Address("h", 1),)


def test_an_attempt_at_a_write_lasts_as_long_as_its_wait():
    patience = parse_store_url("redis://h").patience
    assert patience.confirmation_wait("replicated") == 0.25
    assert patience.confirmation_wait("fsync") == 1.5
    assert patience.write_timeout("replicated") == patience.timeout == 0.5
    assert patience.write_timeout("fsync") == 1.75
    chosen = parse_store_url("redis://h?replica_wait=0.1").patience
    assert chosen.confirmation_wait("fsync") == 0.1
    assert chosen.write_timeout("fsync") == 0.5
    patient = parse_store_url("redis://h?timeout=4&deadline=8").patience
    assert patient.write_timeout("fsync") == 4


@pytest.mark.parametrize("driver", [SyncStore, AsyncStore])
def test_a_deadline_that_is_shorter_than_the_wait_for_a_disk_is_refused(driver):
    store = driver.from_url("redis://u:s3cr3t@h?deadline=1.7")
    for durability in ("replicated", "primary"):
        store.confirm_by(durability)
    with pytest.raises(ConfigurationError, match=r"deadline=1\.7 .* to 1\.75 or more") as refusal:
        store.confirm_by("fsync")
    assert "s3cr3t" not in str(refusal.value)
    assert store.durability == "primary"
    driver.from_url("redis://h?deadline=1.75").confirm_by("fsync")
    driver.from_url("redis://h?deadline=1&replica_wait=0.3").confirm_by("fsync")


@pytest.mark.parametrize(
    ("name", "least", "most", "beyond"),
    [
        ("timeout", "0.26", "2.5", ("0.25", "2.51")),
        ("deadline", "1", "300", ("0.99", "300.01")),
        ("replica_wait", "0", "0.999", ("-0.001", "1")),
        ("max_connections", "1", "10000", ("0", "10001", "2.5")),
        ("max_pending", "1", "1000000", ("0", "1000001", "2.5")),
        ("max_waiting", "0", "1000000", ("-1", "1000001", "2.5")),
    ],
)
def test_the_least_and_the_most_of_each_number(name, least, most, beyond):
    for value in (least, most):
        url = f"redis://h?{name}={value}" + ("&timeout=1" if name == "replica_wait" else "")
        if name == "deadline":
            url += "&timeout=1"
        assert getattr(parse_store_url(url).patience, name) == float(value)
    for value in beyond:
        url = f"redis://h?{name}={value}" + (
            "&timeout=1" if name in {"replica_wait", "deadline"} else ""
        )
        with pytest.raises(ConfigurationError, match=name):
            parse_store_url(url)
    shortest = parse_store_url("redis://h?timeout=0.01&replica_wait=0").patience
    assert shortest.timeout == 0.01
    with pytest.raises(ConfigurationError):
        parse_store_url("redis://h?timeout=0.0099&replica_wait=0")


def test_a_remap():
    location = parse_store_url(
        "redis+cluster://h?address_remap=10.0.0.1:7000=127.0.0.1:17000,%20[::1]:5=b.example:6,"
    )
    assert location.reach(Address("10.0.0.1", 7000)) == Address("127.0.0.1", 17_000)
    assert location.reach(Address("::1", 5)) == Address("b.example", 6)
    assert location.reach(Address("10.0.0.1", 7001)) == Address("10.0.0.1", 7001)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a:1",
        "a:1=",
        "=a:1",
        "a=b:1",
        "a:1=b",
        "a:1=b:0",
        "a:1=b:65536",
        "a:1=b:1=c:1",
        "[::1]=b:1",
        "a:1=b:2,a:1=b:3",
        "a b:1=c:2",
    ],
)
def test_what_is_no_remap(text):
    with pytest.raises(ConfigurationError, match="address_remap"):
        parse_store_url(f"redis://h?address_remap={quote(text)}")


@pytest.mark.parametrize(
    ("query", "by_ip", "by_name"),
    [
        ("", "10.0.0.1", "node.example"),
        ("?verify_by=node", "10.0.0.1", "node.example"),
        ("?verify_by=seed", "seed.example", "node.example"),
        ("?server_name=all.example", "all.example", "all.example"),
    ],
)
def test_the_names_that_certificates_have_to_bear(query, by_ip, by_name):
    location = parse_store_url(f"rediss+cluster://seed.example:1,seed.example:2{query}")
    assert location.certificate_name(Address("10.0.0.1", 7)) == by_ip
    assert location.certificate_name(Address("node.example", 7)) == by_name


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://h?server_name=a", "need a URL that begins with rediss"),
        ("redis://h?verify_by=seed", "need a URL that begins with rediss"),
        ("rediss://h?server_name=", "is no name"),
        ("rediss://h?server_name=a%20b", "is no name"),
        ("rediss://h?server_name=a&verify_by=seed", "exclude each other"),
        ("rediss://h?verify_by=nobody", "is node .* or seed"),
        ("rediss://10.0.0.1?verify_by=seed", "server_name"),
        ("rediss+cluster://a,b?verify_by=seed", "server_name"),
        ("rediss://h?key_password=x", "needs cert_file and key_file"),
        ("rediss://h?key_password_file=/missing", "names no file"),
        ("rediss://h?verify=none", "unknown option"),
        ("rediss://h?ssl_cert_reqs=none", "unknown option"),
        ("redis://:p@h?password_file=/x", "leave one out"),
    ],
)
def test_what_would_be_unsafe_or_contradicts_itself_is_refused(url, words):
    with pytest.raises(ConfigurationError, match=words):
        parse_store_url(url)


@pytest.mark.parametrize("secret", ["s3/cret", "s3#cret", "s3@cret", "s3:cret", "//s3", "#@s3"])
@pytest.mark.parametrize("scheme", ["redis+cluster", "rediss", "valkey"])
def test_no_character_of_a_password_is_shown_that_is_not_percent_encoded(scheme, secret):
    url = f"{scheme}://auth:{secret}@h:1/0?namespace=shop"
    assert parse_store_url(url).password == secret
    assert redact_store_url(url) == f"{scheme}://auth:***@h:1"


def test_nothing_is_shown_of_what_is_no_url():
    assert redact_store_url(SECRET) == "***"


def test_no_secret_of_an_option_is_shown(tmp_path):
    for name in ("cert_file", "key_file"):
        (tmp_path / name).write_text("x")
    files = f"cert_file={tmp_path}/cert_file&key_file={tmp_path}/key_file"
    url = f"rediss://h?{files}&key_password={SECRET}"
    location = parse_store_url(url)
    assert location.tls_options.passphrase(location.tls_files) == SECRET
    assert SECRET not in f"{location!r} {redact_store_url(url)}"
    assert not parse_store_url("redis://h").has_password
    assert parse_store_url("redis://u@h?password_file=/x").has_password


@pytest.mark.parametrize(
    ("passphrase", "words"),
    [("", "key_file of the store URL is encrypted"), ("wrong", "does not open key_file")],
)
def test_a_key_that_does_not_open_is_told_of(tmp_path, passphrase, words):
    pair = Authority("ca").issue("app", passphrase=SECRET)
    for name, text in zip(("cert_file", "key_file"), pair, strict=True):
        (tmp_path / name).write_bytes(text)
    url = f"rediss://h?cert_file={tmp_path}/cert_file&key_file={tmp_path}/key_file"
    with pytest.raises(ConfigurationError, match=words):
        parse_store_url(f"{url}&key_password={passphrase}" if passphrase else url).check_files()
    parse_store_url(f"{url}&key_password={SECRET}").check_files()


@pytest.mark.parametrize("broken", ["cert_file", "key_file"])
def test_a_file_that_is_being_written_stops_no_program(tmp_path, broken):
    """A file may hold a certificate, or a key, by the time that a connection is opened."""
    for name, text in zip(("cert_file", "key_file"), Authority("ca").issue("app"), strict=True):
        (tmp_path / name).write_bytes(text[:30] if name == broken else text)
    url = f"rediss://h?cert_file={tmp_path}/cert_file&key_file={tmp_path}/key_file"
    parse_store_url(url).check_files()
    parse_store_url(f"{url}&key_password={SECRET}").check_files()


@pytest.mark.parametrize("told", [("", 7), (b"h", 7), ("h", "7"), ("h", 0), ("h", 65_536), None])
def test_a_remap_that_returns_no_address_is_told_of(told):
    node = Address("10.0.0.1", 7)
    assert reached_through(node, {}, lambda _: ("h", 65_535)) == Address("h", 65_535)
    with pytest.raises(StoreFailed, match=r"address_remap for 10\.0\.0\.1:7"):
        reached_through(node, {}, lambda _: told)
