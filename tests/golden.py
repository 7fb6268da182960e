"""Values as this release and earlier ones stored them, byte for byte, and what they mean.

A value here never changes: stores hold it. A new schema gets values of its own beside these.
"""

from typing import Final

from clusterpass.protocol.records import LiveRecord, Tombstone
from clusterpass.protocol.replies import Details, Elevation, HistoryLine, StoredBan

FAR: Final = 0xF0000000
"""A second in the year 2097, in which all ends that is live here."""
DIGEST: Final = bytes.fromhex("d0d1d2d3d4d5d6d7d8d9dadbdcdddedf")
LIVE_1, LIVE_1_IDLE, LIVE_2, LIVE_2_IDLE = b"1" * 16, b"i" * 16, b"2" * 16, b"I" * 16
DEAD_129, DEAD_130 = b"x" * 16, b"y" * 16
OPERATION: Final = bytes.fromhex("0102030405060708")
BOUND: Final = bytes.fromhex("1112131415161718")
BOUND_FINGERPRINT: Final = bytes.fromhex("c1c2c3c4c5c6c7c8")
OPERATION_FIRST_MS: Final = 1_750_000_777_888
OPERATION_ENDED: Final = tuple(bytes([number]) * 16 for number in range(0xA1, 0xA6))

RECORDS: Final[dict[bytes, bytes]] = {
    # Schema 1: flags, created, absolute end, refreshed, idle seconds, rotation, digest, device.
    LIVE_1: bytes.fromhex(
        "01 02 01977420dc7b f0000000 684ee180 00000000 00000003 d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
        "4c6170746f70"
    ),
    LIVE_1_IDLE: bytes.fromhex(
        "01 00 01977420dc7c f0000000 684ee190 80000000 00000000 d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
    ),
    # Schema 2: burst and burst span stand between the digest and the device.
    LIVE_2: bytes.fromhex(
        "02 11 01977420dc7d f0000000 684ee185 00000000 00000007 d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
        "02 0005 70686f6e65 00 416e6e61"
    ),
    LIVE_2_IDLE: bytes.fromhex(
        "02 00 01977420dc7e f0000000 684ee190 80000000 00000001 d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
        "00 0000"
    ),
    # Schemas 129 and 130: reason, ended at, keep until; 130 has a note as well.
    DEAD_129: bytes.fromhex("81 01 684ee195 f0000000"),
    DEAD_130: bytes.fromhex("82 02 684ee196 f0000000 c3896c616e"),
}
PARSED: Final[dict[bytes, LiveRecord | Tombstone]] = {
    LIVE_1: LiveRecord(1_750_000_000_123, FAR, 1_750_000_000, 0, 3, DIGEST, "Laptop", flags=2),
    LIVE_1_IDLE: LiveRecord(1_750_000_000_124, FAR, 1_750_000_016, 2**31, 0, DIGEST, ""),
    LIVE_2: LiveRecord(
        1_750_000_000_125, FAR, 1_750_000_005, 0, 7, DIGEST, "phone\0Anna", 0x11, 2, 5
    ),
    LIVE_2_IDLE: LiveRecord(1_750_000_000_126, FAR, 1_750_000_016, 2**31, 1, DIGEST, ""),
    DEAD_129: Tombstone("logged_out", 1_750_000_021, FAR),
    DEAD_130: Tombstone("replaced", 1_750_000_022, FAR, "Élan"),
}

DETAILS: Final = (
    b'{"claims":{"role":"\xc3\xa9diteur","n":[1,{"a":null}]},"device":"a device of many words",'
    b'"acr":"2","amr":["pwd","otp"],"act":["root","AAAAAAAAAAAAAAAAAAAAAA","support"]}'
)
DETAILS_PARSED: Final = Details(
    {"role": "éditeur", "n": [1, {"a": None}]},
    "a device of many words",
    "2",
    ("pwd", "otp"),
    ("root", "AAAAAAAAAAAAAAAAAAAAAA", "support"),
)
ELEVATION: Final = bytes.fromhex("684ee18a f0000000") + b"3\x00hwk otp"
ELEVATION_PARSED: Final = Elevation(1_750_000_010, FAR, "3", ("hwk", "otp"))
# As this release writes it: bound to its tokens, and with the refresh token before it.
ELEVATION_BOUND: Final = (
    bytes.fromhex("684ee18a f0000000 00 01 0102030405060708 00010003 00000003")
    + DIGEST
    + bytes.fromhex("684ee180 02 0005")
    + b"2\x00pwd otp"
)
ELEVATION_BOUND_PARSED: Final = Elevation(
    1_750_000_010, FAR, "2", ("pwd", "otp"), bytes(range(1, 9)), 65_539, older_rotation=3
)
BANS: Final = (
    b'{"":{"l":2,"u":4026531840,"r":"spam","a":1750000011},'
    b'"orders:write":{"l":1,"u":0,"r":"","a":1750000012}}'
)
BANS_PARSED: Final = (
    StoredBan("", 2, FAR, "spam", 1_750_000_011),
    StoredBan("orders:write", 1, 0, "", 1_750_000_012),
)
GENERATION: Final = 1_749_999_999_999
KIND_GENERATIONS: Final = b"phone 1749999999998\ntv 1749999000000\n* 1749998000000"
"""When the sessions on a phone, on a TV and on any other kind of device were last ended."""
CLAIMS: Final = b'{"plan":"gold"}'

# A ring of three lines that has wrapped: line 4 is the newest, in field 4 % 3, and 2 the oldest.
HISTORY: Final[dict[bytes, bytes]] = {
    b"h": b"4",
    b"h\x02": (
        bytes.fromhex("01 684ee180 0001")
        + LIVE_1
        + bytes.fromhex("10 20010db8000000000000000000000001")
        + b"Laptop"
    ),
    b"h\x00": bytes.fromhex("02 684ee185 0007") + LIVE_2 + bytes.fromhex("04 7f000001"),
    b"h\x01": bytes.fromhex("04 684ee196 0002") + bytes(16) + b"\x00\xc3\x89lan",
}
HISTORY_PARSED: Final = [
    HistoryLine(
        1, 1_750_000_000, 1, LIVE_1, bytes.fromhex("20010db8000000000000000000000001"), "Laptop"
    ),
    HistoryLine(2, 1_750_000_005, 7, LIVE_2, b"\x7f\x00\x00\x01", ""),
    HistoryLine(4, 1_750_000_022, 2, bytes(16), b"", "Élan"),
]
# The result 0 and five ended sessions, of which four fit a field. Of the release that kept no
# fingerprints; BOUND has one.
OPERATIONS: Final[dict[bytes, bytes]] = {
    b"o" + OPERATION + b"\x00": bytes.fromhex("f0000000 0197742cbaa0 00 0005"),
    b"o" + OPERATION + b"\x01": b"".join(OPERATION_ENDED[:4]),
    b"o" + OPERATION + b"\x02": OPERATION_ENDED[4],
    b"o" + BOUND + b"\x00": bytes.fromhex("f0000000 0197742cbaa0 00 0001 c1c2c3c4c5c6c7c8"),
    b"o" + BOUND + b"\x01": OPERATION_ENDED[0],
}
FINGERPRINTS: Final[dict[str, bytes]] = {
    "end_session": bytes.fromhex("9c57ee05479e6c8a"),
    "end_all": bytes.fromhex("9a4c0c977633407a"),
    "end_all of a type": bytes.fromhex("7eb741947221236c"),
    "ban": bytes.fromhex("4e122adb07909f0c"),
    "unban": bytes.fromhex("1802d9f38abbbcaa"),
    "erase": bytes.fromhex("35ae70523c6383f3"),
    "set_claims": bytes.fromhex("b53ef2d2ad66d720"),
}
"""What other processes compare; the calls are in tests/unit/test_fingerprints.py."""

FIELDS: Final[dict[bytes, bytes]] = {
    **RECORDS,
    LIVE_2 + b"d": DETAILS,
    LIVE_2 + b"e": ELEVATION,
    b"c": CLAIMS,
    b"b": BANS,
    b"g": str(GENERATION).encode(),
    b"t": KIND_GENERATIONS,
    **HISTORY,
    **OPERATIONS,
}
"""The whole hash of a subject."""
