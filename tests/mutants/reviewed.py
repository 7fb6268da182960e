"""Mutants that were reviewed and accepted: equivalent lines, and constants of timing or size.

The change of an equivalent line has no effect. A number belongs in ``PACES`` if it only says how
often or how long something waits, how much is done or kept at a time, or what was measured once, so
that another value is just as correct.
"""

from .mutant import Kind

_BATCH = "a bound of a batch"
_RACE = "only another thread could have taken it meanwhile"
_AT_LEAST = "how long somebody waits at least"
_ASKED_AGAIN = "how often it is asked again"
_AT_MOST = "how long is waited at most for what was cancelled"
_PART_OF_A_CLOSING = "how long those are waited for that another event loop runs, at most"
_CLOCK = "two readings of a clock in nanoseconds are never equal"
_ANY_VERSION = "a version only has to differ from the one before"
_LATER = "the clock is past its first second"
_YES = "any number but 0 says yes"
_FIRST = "nothing happened in the first millisecond of the epoch, or its first second"
# (path, line of code, kind) -> why the changed line does the same.
REVIEWED: dict[tuple[str, str, Kind], str] = {
    (
        "src/clusterpass/protocol/scripts/_include/subject.lua",
        "if latest_generation() > 0 then",
        Kind.BOUNDARY,
    ): "without a generation the second is one of 1970, and anything else is later",
    (
        "src/clusterpass/protocol/scripts/_include/operations.lua",
        "known[#known + 1] = {id = id, rank = id == operation and at + 1 or at, at = at}",
        Kind.NUMBER,
    ): "those that are noted ahead of now do not count, whatever their rank",
    (
        "src/clusterpass/protocol/scripts/_include/history.lua",
        "if size == history_entries or (size < history_entries and not has_wrapped) then",
        Kind.BOUNDARY,
    ): "equal sizes are the clause before",
    (
        "src/clusterpass/protocol/scripts/_include/generation.lua",
        "put('g', string.format('%.0f', math.max(generation() + 1, at_ms)))",
        Kind.NUMBER,
    ): "any higher number tells the logins before from those after",
    (
        "src/clusterpass/service/page/administration_pages.py",
        'claims=json.dumps(dict(claims), indent=2, ensure_ascii=False) if claims else "",',
        Kind.NUMBER,
    ): "the same claims, indented by another width",
    (
        "src/clusterpass/managers/aio/confirming.py",
        "while time.monotonic() < until:",
        Kind.BOUNDARY,
    ): _CLOCK,
    (
        "src/clusterpass/managers/aio/confirming.py",
        "await self._jobs.leave_other_loops(_CLOSING_SECONDS / 2)",
        Kind.NUMBER,
    ): _PART_OF_A_CLOSING,
    (
        "src/clusterpass/managers/aio/hearing.py",
        "await self._jobs.leave_other_loops(_CLOSING_SECONDS / 2)",
        Kind.NUMBER,
    ): _PART_OF_A_CLOSING,
    (
        "src/clusterpass/managers/aio/recording.py",
        "await self._jobs.leave_other_loops(_CLOSING_SECONDS / 2)",
        Kind.NUMBER,
    ): _PART_OF_A_CLOSING,
    (
        "src/clusterpass/managers/workers/aio.py",
        "self._next_at = 0.0",
        Kind.NUMBER,
    ): _LATER,
    (
        "src/clusterpass/managers/workers/sync.py",
        "self._next_at = 0.0",
        Kind.NUMBER,
    ): _LATER,
    (
        "src/clusterpass/managers/aio/session_watch.py",
        "self._is_begun = True",
        Kind.FLAG,
    ): "who is followed already is followed again",
    (
        "src/clusterpass/managers/aio/recording.py",
        "self._at_once: Final = self._jobs.most // 8",
        Kind.NUMBER,
    ): "how many are recorded at once",
    (
        "src/clusterpass/managers/aio/recording.py",
        "self._has_recorded = False",
        Kind.FLAG,
    ): "it counts after a failure only, which sets it",
    (
        "src/clusterpass/managers/workers/aio.py",
        "while any(map(_is_running, others.values())) and time.monotonic() < until:"
        "  # noqa: ASYNC110",
        Kind.BOUNDARY,
    ): _CLOCK,
    (
        "src/clusterpass/protocol/records.py",
        'self.created_milliseconds.to_bytes(6, "big"),',
        Kind.ARGUMENT,
    ): "the most significant byte is the first by default",
    (
        "src/clusterpass/doctor/snapshot.py",
        'named = (self.info or {}).get("role", "")',
        Kind.ARGUMENT,
    ): "None is no name of a role either",
    (
        "src/clusterpass/users/directory.py",
        'before, after = self._keyspace.user("").split(b"}", 1)',
        Kind.NUMBER,
    ): "a key has one closing brace",
    (
        "src/clusterpass/cli/demo/scenario.py",
        "FAILOVER_LIMIT_SECONDS = 20.0",
        Kind.NUMBER,
    ): "how long a failover is waited for",
    (
        "src/clusterpass/cli/demo/scenario.py",
        "while time.monotonic() - began < FAILOVER_LIMIT_SECONDS:",
        Kind.BOUNDARY,
    ): _CLOCK,
    (
        "src/clusterpass/users/hashing.py",
        "_check(1 if concurrency is None else concurrency, most_waiting)",
        Kind.NUMBER,
    ): "any number in range",
    (
        "src/clusterpass/users/passwords.py",
        "salt_len=_SALT_BYTES,",
        Kind.KEYWORD,
    ): "as long by default",
    (
        "src/clusterpass/service/api/tokens.py",
        "response_class=Response,",
        Kind.KEYWORD,
    ): "a 204 has no body of any class",
    (
        "src/clusterpass/service/api/openapi.py",
        'if "422" in responses and MEDIA_TYPE not in responses["422"].get("content", {}):',
        Kind.ARGUMENT,
    ): "FastAPI describes the content of each 422",
    (
        "src/clusterpass/service/hot/verify.py",
        "session = await verify(self._service, token, wanted, scope, fields, recalled=known)",
        Kind.KEYWORD,
    ): "what was recalled already is recalled again",
    (
        "src/clusterpass/service/page/home.py",
        'session, device_type = visitor.session, fields.get("kind", "")',
        Kind.ARGUMENT,
    ): "None is no kind either",
    (
        "src/clusterpass/doctor/see_rights.py",
        "return keyspace.not_before(0).decode()",
        Kind.NUMBER,
    ): "any slot: access lists have patterns of keys, and a pattern fits the keys of every slot",
    (
        "src/clusterpass/doctor/see_rights.py",
        "return keyspace.online(0).decode()",
        Kind.NUMBER,
    ): "any slot: access lists have patterns of keys, and a pattern fits the keys of every slot",
    (
        "src/clusterpass/store/drivers/broadcast_rule.py",
        'digits = rest.split(b"\\r", 1)[0]',
        Kind.ARGUMENT,
    ): "the first part is the same",
    (
        "src/clusterpass/store/drivers/broadcast_rule.py",
        'digits = rest.split(b"\\r", 1)[0]',
        Kind.NUMBER,
    ): "the first part is the same",
    (
        "src/clusterpass/store/drivers/watch.py",
        "self._version = 0",
        Kind.NUMBER,
    ): "each run begins with 0",
    (
        "src/clusterpass/store/exchanges/carry_out.py",
        "if clock() >= tries.give_up_at and tries.unconfirmed is not None:",
        Kind.BOUNDARY,
    ): _CLOCK,
    (
        "src/clusterpass/store/exchanges/carry_out.py",
        'if fault.kind == "closed" or clock() >= tries.give_up_at:',
        Kind.BOUNDARY,
    ): _CLOCK,
    (
        "src/clusterpass/store/drivers/heartbeat.py",
        "has_journal: bool = False",
        Kind.FLAG,
    ): "every heartbeat says it",
    (
        "src/clusterpass/store/exchanges/probe.py",
        "breakers.failed(node, fault.kind, fault=fault)",
        Kind.KEYWORD,
    ): "all that is told of such a fault follows from its kind",
    (
        "src/clusterpass/store/exchanges/tries.py",
        "if terms.clock() - slots.taken_at > age:",
        Kind.BOUNDARY,
    ): _CLOCK,
    (
        "src/clusterpass/store/drivers/heartbeat.py",
        "break",
        Kind.LOOP,
    ): "none is missing any more",
    (
        "src/clusterpass/store/exchanges/evidence.py",
        "break",
        Kind.LOOP,
    ): "what ended the questions also holds for the nodes after",
    (
        "src/clusterpass/store/exchanges/evidence.py",
        "self.epoch = max(self._epochs.values(), default=0)",
        Kind.NUMBER,
    ): "where nobody told an epoch, nothing is filled",
    (
        "src/clusterpass/store/exchanges/evidence.py",
        "if asked is not None and slot is not None:",
        Kind.LOGIC,
    ): "both are known, or neither",
    (
        "src/clusterpass/store/exchanges/circuit_breaker.py",
        "trying_until: float = 0.0",
        Kind.NUMBER,
    ): _LATER,
    (
        "src/clusterpass/store/exchanges/circuit_breaker.py",
        "self.silent.pop(node, None)",
        Kind.ARGUMENT,
    ): _RACE,
    (
        "src/clusterpass/store/exchanges/circuit_breaker.py",
        "self._budgets.pop(node, None)",
        Kind.ARGUMENT,
    ): _RACE,
    (
        "src/clusterpass/store/exchanges/circuit_breaker.py",
        "breaker.next_try = now + chance.uniform(breaker.pause / 2, breaker.pause)",
        Kind.NUMBER,
    ): _AT_LEAST,
    (
        "src/clusterpass/store/exchanges/carry_out.py",
        "yield Pause(min(chance.uniform(pause / 2, pause), rest))",
        Kind.NUMBER,
    ): _AT_LEAST,
    (
        "src/clusterpass/store/exchanges/durability.py",
        "on_disk, replicas = 1, confirmed",
        Kind.NUMBER,
    ): _YES,
    (
        "src/clusterpass/store/topology/attached.py",
        "and latest[1] is shard",
        Kind.COMPARISON,
    ): "a primary has one shard in a map; else the answer is computed anew, and the same",
    (
        "src/clusterpass/store/topology/attached.py",
        "and latest[2] == attached",
        Kind.NUMBER,
    ): "the answer is computed anew, and the same",
    (
        "src/clusterpass/store/wire/tcp_dial.py",
        "connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)",
        Kind.NUMBER,
    ): _YES,
    (
        "src/clusterpass/store/wire/tcp_dial.py",
        "made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)",
        Kind.NUMBER,
    ): _YES,
    (
        "src/clusterpass/store/wire/backoff.py",
        "pause = chance.uniform(self._pause / 2, self._pause)",
        Kind.NUMBER,
    ): _AT_LEAST,
    (
        "src/clusterpass/store/wire/link.py",
        "if loop.time() < self._backoff.not_before:",
        Kind.BOUNDARY,
    ): _CLOCK,
    (
        "src/clusterpass/store/wire/group_commit.py",
        "future.add_done_callback(lambda _: timer.cancel())",
        Kind.CALL,
    ): "the timer finds the write answered",
    (
        "src/clusterpass/store/wire/group_commit.py",
        "if self._idle and not self._is_leaving:",
        Kind.LOGIC,
    ): "a further turn finds nothing to send",
    (
        "src/clusterpass/store/wire/multiplexed.py",
        "self._heard_at = 0.0",
        Kind.NUMBER,
    ): "it counts after two answers only, each of which was heard",
    (
        "src/clusterpass/sessions/event_deduplication.py",
        "self.read_second = 0",
        Kind.NUMBER,
    ): "it counts after the first reading only, which sets it",
    (
        "src/clusterpass/sessions/event_deduplication.py",
        "self._since = max(self._since or 0.0, forgotten.touched_at)",
        Kind.LOGIC,
    ): "no subject was touched before the first listener",
    (
        "src/clusterpass/sessions/issue_tokens.py",
        "if self._issuer is None:",
        Kind.COMPARISON,
    ): "who asks for the private key has made it before; made anew, it is the same",
    (
        "src/clusterpass/sessions/memory/clocks.py",
        "is_news = known is None or abs(told.middle - known.middle) > CLOCK_TOLERANCE / 2",
        Kind.BOUNDARY,
    ): "what is measured is never exactly a limit",
    (
        "src/clusterpass/sessions/memory/denials.py",
        "sweeps = tuple(self._sweeps.get(key, {}).values())",
        Kind.ARGUMENT,
    ): _RACE,
    (
        "src/clusterpass/sessions/memory/evidence.py",
        "self.epoch = 0",
        Kind.NUMBER,
    ): "the first answer of a node sets it",
    (
        "src/clusterpass/sessions/memory/followed_sessions.py",
        "_FAR: Final = 2**40",
        Kind.NUMBER,
    ): "far all the same",
    (
        "src/clusterpass/sessions/memory/push_generations.py",
        "self.events += 1",
        Kind.NUMBER,
    ): "only the order of the numbers counts",
    (
        "src/clusterpass/sessions/memory/cached_reads.py",
        "return None if now.used_at < self._flushed_at else self._steady() - now.used_at",
        Kind.BOUNDARY,
    ): _CLOCK,
    (
        "src/clusterpass/sessions/memory/token_index.py",
        "self._expiry_hand = 0",
        Kind.NUMBER,
    ): "where a hand begins its round",
    (
        "src/clusterpass/sessions/memory/token_index.py",
        "size += 2 * len(part)",
        Kind.NUMBER,
    ): "an estimate of memory",
    (
        "src/clusterpass/sessions/public_values.py",
        "if stored.now < ban.until < until:",
        Kind.BOUNDARY,
    ): "an end in the same second is the same end",
    (
        "src/clusterpass/sessions/public_values.py",
        "if stored.elevation is not None and stored.now < stored.elevation.ends_at < until:",
        Kind.BOUNDARY,
    ): "an end in the same second is the same end",
    (
        "src/clusterpass/sessions/public_values.py",
        'text = address.partition("%")[0]',
        Kind.NAME,
    ): "the standard library leaves the zone out as well",
    (
        "src/clusterpass/sessions/revocations/journaling.py",
        "self._being_written.pop(entry.fingerprint, None)",
        Kind.ARGUMENT,
    ): _RACE,
    (
        "src/clusterpass/protocol/scripts/_include/activity.lua",
        "if latest > 0 then",
        Kind.NUMBER,
    ): _FIRST,
    (
        "src/clusterpass/protocol/scripts/_include/change_arguments.lua",
        "local now = math.floor(now_ms / 1000)",
        Kind.NUMBER,
    ): "load and glance set it before it is read",
    (
        "src/clusterpass/protocol/scripts/_include/elevation.lua",
        "rotation = 0, digest = string.rep('\\0', 16), refreshed = 0, burst = 0, burst_span = 0,",
        Kind.NUMBER,
    ): "a flag says that nobody reads it",
    (
        "src/clusterpass/protocol/scripts/_include/operations.lua",
        "local known, latest = {}, 0",
        Kind.NUMBER,
    ): _FIRST,
    (
        "src/clusterpass/protocol/scripts/add_secrets.lua",
        "return value and string.find(value, '\"retired\"', 1, true)",
        Kind.NUMBER,
    ): "the first character of JSON is a brace",
    (
        "src/clusterpass/protocol/scripts/_include/generation.lua",
        "local known, latest = {}, 0",
        Kind.NUMBER,
    ): _FIRST,
    (
        "src/clusterpass/protocol/scripts/_include/generation.lua",
        "return math.max(known[kind] or 0, known[ANY_KIND] or 0)",
        Kind.NUMBER,
    ): _FIRST,
    (
        "src/clusterpass/protocol/scripts/_include/fast_path.lua",
        "local summary = INDEX and history_entries > 0 and redis.call('HGET', KEY, 's')",
        Kind.BOUNDARY,
    ): "no summary fits where there is no history",
    (
        "src/clusterpass/protocol/scripts/_include/fast_path.lua",
        "if found.is_whole"
        " or redis.call('TTL', KEY) + math.floor(server_ms / 1000) < expires_at then",
        Kind.BOUNDARY,
    ): "the end that the key has then is the wanted one, or a second later",
    (
        "src/clusterpass/protocol/scripts/_include/fast_path.lua",
        "redis.call('HDEL', KEY, 's')",
        Kind.CALL,
    ): "a summary that did not fit once never fits again",
    (
        "src/clusterpass/protocol/scripts/_include/elevation.lua",
        "local room = math.floor((LAST_ROTATION - latest) / 2)",
        Kind.NUMBER,
    ): "any share of what is left leaves room for the next",
    (
        "src/clusterpass/protocol/scripts/_include/generation.lua",
        "known[ANY_KIND] = math.max(known[ANY_KIND] or 0, first.at)",
        Kind.NUMBER,
    ): _FIRST,
    (
        "src/clusterpass/protocol/scripts/_include/online_index.lua",
        "if #ended > 0 or before and tonumber(before) > score then",
        Kind.BOUNDARY,
    ): "asks the index for its last end, which the other branch knows",
    (
        "src/clusterpass/protocol/scripts/_include/subject_summary.lua",
        "local found = count >= LEAST_FIELDS and INDEX and fields['h'] and survey()",
        Kind.BOUNDARY,
    ): "with one field more there is a summary",
    (
        "src/clusterpass/protocol/scripts/return_attempt.lua",
        "return 0",
        Kind.NUMBER,
    ): "nobody reads the reply",
    (
        "src/clusterpass/protocol/scripts/forget_attempts.lua",
        "return 0",
        Kind.NUMBER,
    ): "nobody reads the reply",
    (
        "src/clusterpass/protocol/scripts/_include/fast_path.lua",
        "if found.generation_ms > 0 then",
        Kind.NUMBER,
    ): _FIRST,
    (
        "src/clusterpass/protocol/scripts/_include/fast_path.lua",
        "if found.generation_ms > 0 then",
        Kind.BOUNDARY,
    ): "0 is earlier than all else",
    (
        "src/clusterpass/protocol/scripts/_include/fast_path.lua",
        "or found.tombstones > MOST_TOMBSTONES or found.operations > MOST_OPERATIONS",
        Kind.BOUNDARY,
    ): "what is not done at a glance has the same result",
    (
        "src/clusterpass/users/directory.py",
        'before, after = self._keyspace.user("").split(b"}", 1)',
        Kind.ARGUMENT,
    ): "a key has one closing brace",
    (
        "src/clusterpass/tokens/write_secret.py",
        'with os.fdopen(descriptor, "w", encoding="utf-8", newline="\\n") as file:',
        Kind.KEYWORD,
    ): "keys are written in ASCII",
    (
        "src/clusterpass/cli/service_child.py",
        "condition: Callable[[], bool], *, seconds: float, failure: str, pause: float = 0.05",
        Kind.NUMBER,
    ): _ASKED_AGAIN,
    (
        "src/clusterpass/cli/service_child.py",
        "if time.monotonic() > give_up_at:",
        Kind.BOUNDARY,
    ): _CLOCK,
    (
        "src/clusterpass/cli/service_child.py",
        'return ask(port, "GET", "/healthz", timeout=1.0).status == 200',
        Kind.KEYWORD,
    ): "how long a server that hangs is waited for",
    (
        "src/clusterpass/doctor/checks/copies.py",
        "if len(copies) > 1 and shared:",
        Kind.BOUNDARY,
    ): "a host is shared by two copies or more",
    (
        "src/clusterpass/doctor/checks/memory.py",
        'count = sum(node.number("evicted_keys") or 0 for node in lost)',
        Kind.NUMBER,
    ): "each of these nodes has evicted keys",
    (
        "src/clusterpass/doctor/checks/operation.py",
        'direction = "behind" if nearest.ahead > 0 else "ahead of"',
        Kind.BOUNDARY,
    ): "a clock that is reported is seconds away",
    (
        "src/clusterpass/doctor/checks/operation.py",
        'direction = "behind" if nearest.ahead > 0 else "ahead of"',
        Kind.NUMBER,
    ): "a clock that is reported is seconds away",
    (
        "src/clusterpass/doctor/checks/operation.py",
        "longest = max(node.round_trip or 0 for node in far)",
        Kind.NUMBER,
    ): "each of these nodes has a round trip",
    (
        "src/clusterpass/doctor/checks/replication.py",
        "small = [n for n in seen.primaries if"
        ' (n.number("repl_backlog_size") or 2**40) < _SMALL_BACKLOG]',
        Kind.NUMBER,
    ): "any number that is not small",
    (
        "src/clusterpass/doctor/checks/replication.py",
        'offset = node.number("master_repl_offset") or 0',
        Kind.NUMBER,
    ): "one byte of a million",
    (
        "src/clusterpass/doctor/checks/replication.py",
        'wait = seen.patience.confirmation_wait("replicated")',
        Kind.NAME,
    ): "every durability but fsync waits as long",
    (
        "src/clusterpass/doctor/trial_write.py",
        'seconds = patience.confirmation_wait("replicated")',
        Kind.NAME,
    ): "every durability but fsync waits as long",
    (
        "src/clusterpass/store/wire/multiplexed.py",
        "if now - due < turn and now - self._waiting[0].sent_at > self._limit:",
        Kind.BOUNDARY,
    ): _CLOCK,
    (
        "src/clusterpass/sessions/memory/leases.py",
        "self._beats += 1",
        Kind.NUMBER,
    ): "only the order of the numbers counts",
    (
        "src/clusterpass/jwks/fetching.py",
        'raise FetchFailed("it is not compressed as it says") from None',
        Kind.RAISE,
    ): "nothing ends the compressed body then, and the end says so in the same words",
    (
        "src/clusterpass/protocol/keyspace.py",
        "_sessions: bytes = field(init=False, repr=False, compare=False)",
        Kind.KEYWORD,
    ): "it follows from the namespace, which is compared",
    (
        "src/clusterpass/tokens/encoding.py",
        "data = binascii.a2b_base64(standard, strict_mode=True)",
        Kind.FLAG,
    ): "what is not strict is not canonical either",
    (
        "src/clusterpass/store/topology/slots.py",
        "taken_at: float = 0.0,",
        Kind.NUMBER,
    ): "the look-up of the slots passes it",
    (
        "src/clusterpass/tokens/key_strength.py",
        "for number in range(2, math.isqrt(_MOST_SMALL_FACTOR) + 1):",
        Kind.NUMBER,
    ): "a multiple that is taken for a prime has no other prime factors",
    (
        "src/clusterpass/sessions/memory/denials.py",
        "if stored.now_milliseconds - known.value > _GENERATION_MILLISECONDS:",
        Kind.BOUNDARY,
    ): "an hour, roughly",
    (
        "src/clusterpass/tokens/refresh.py",
        "digest=chains[:DIGEST_BYTES],",
        Kind.KEYWORD,
    ): "it is made anew, which takes longer",
    (
        "src/clusterpass/protocol/calls/audit.py",
        "slot=SLOT,",
        Kind.KEYWORD,
    ): "it is computed from the key then, which takes longer",
    (
        "src/clusterpass/protocol/calls/subject.py",
        'return change(keyspace, keeping, subject, "settle", arguments=(), read=int)',
        Kind.KEYWORD,
    ): "there are none by default",
    (
        "src/clusterpass/sessions/memory/known_keys.py",
        "self._looked_at = -1",
        Kind.NUMBER,
    ): "any second that is not now",
    (
        "src/clusterpass/model/clock.py",
        'where = "ahead of" if milliseconds > 0 else "behind"',
        Kind.NUMBER,
    ): "a clock that is told of is seconds away",
    (
        "src/clusterpass/store/wire/multiplexed.py",
        "if len(self._outgoing) >= _MOST_IN_A_PACKET:",
        Kind.BOUNDARY,
    ): _BATCH,
    (
        "src/clusterpass/store/outcomes.py",
        "return wait if milliseconds <= left else (*command, left)",
        Kind.BOUNDARY,
    ): "equal numbers make the same command",
    (
        "src/clusterpass/store/drivers/pool.py",
        "connection.connect()",
        Kind.CALL,
    ): "redis-py connects before it sends, too",
    (
        "src/clusterpass/store/outcomes.py",
        "cause: StoreCause | None = field(default=None, compare=False)",
        Kind.KEYWORD,
    ): "faults are compared by tests alone",
    (
        "src/clusterpass/protocol/calls/subject_change.py",
        "history_seconds: int = 0",
        Kind.NUMBER,
    ): "every manager says it",
    (
        "src/clusterpass/sessions/memory/entries.py",
        "self.place = 0",
        Kind.NUMBER,
    ): "an entry gets its place when it is put in",
    (
        "src/clusterpass/store/drivers/watch_pace.py",
        "self._activity = -1",
        Kind.NUMBER,
    ): "any number but one that an observer has",
    (
        "src/clusterpass/store/topology/epoch.py",
        'digits = rest.split(b"\\r", 1)[0]',
        Kind.NUMBER,
    ): "what is before the first break does not depend on the later ones",
    (
        "src/clusterpass/sessions/memory/unknown_key_lookups.py",
        "self._is_under_way = False",
        Kind.FLAG,
    ): "it is compared with a time that has not begun",
    (
        "src/clusterpass/service/settings/loading.py",
        "told = dict.fromkeys(map(_describe, error.errors(include_input=False)))",
        Kind.KEYWORD,
    ): "nothing reads the input",
    (
        "src/clusterpass/jwks/fetching.py",
        "piece = self._gzip.decompress(piece, _LARGEST + 1)",
        Kind.NUMBER,
    ): "a byte too many is enough to refuse it",
    (
        "src/clusterpass/sessions/memory/token_index.py",
        "and self._object_bytes + self._packed.size <= self._most_bytes",
        Kind.BOUNDARY,
    ): "the loops below compare again",
    (
        "src/clusterpass/sessions/memory/token_index.py",
        "and objects + self._packed.count <= self._most_entries",
        Kind.BOUNDARY,
    ): "the loops below compare again",
    (
        "src/clusterpass/sessions/memory/token_index.py",
        "objects <= self._most_objects",
        Kind.BOUNDARY,
    ): "the loops below compare again",
    (
        "src/clusterpass/sessions/signing_keys.py",
        "_TURNS, _REST_SECONDS = 30, 0.1",
        Kind.NUMBER,
    ): _ASKED_AGAIN,
    (
        "src/clusterpass/model/environment_settings.py",
        "@lru_cache(maxsize=16)",
        Kind.KEYWORD,
    ): "a bound of memory",
    (
        "src/clusterpass/store/wire/tls.py",
        "@lru_cache(maxsize=256)",
        Kind.KEYWORD,
    ): "a bound of memory",
    (
        "src/clusterpass/sessions/memory/packed_tokens.py",
        'return sha256(token.encode("utf-8", "surrogatepass")).digest()[:16]',
        Kind.NUMBER,
    ): "a byte more of a hash",
    (
        "src/clusterpass/store/drivers/slot_searches.py",
        "wanted.seen + 1,",
        Kind.NUMBER,
    ): _ANY_VERSION,
    (
        "src/clusterpass/store/topology/slots.py",
        "self.version + 1,",
        Kind.NUMBER,
    ): _ANY_VERSION,
    (
        "src/clusterpass/store/store_url.py",
        "return Address(unquote(path), 0)",
        Kind.NUMBER,
    ): "nobody reads the port of a socket",
    (
        "src/clusterpass/sessions/memory/clocks.py",
        "if -CLOCK_TOLERANCE <= milliseconds / 1000 - agreed <= CLOCK_TOLERANCE:",
        Kind.BOUNDARY,
    ): "a time at the very limit is what follows from it, too",
    (
        "src/clusterpass/tokens/secret_strength.py",
        "and secret.find(secret[place : place + length + 1], 0, place + length) >= 0",
        Kind.BOUNDARY,
    ): "one byte more is kept of what repeats the beginning; one byte again and again is a row",
    (
        "src/clusterpass/sessions/memory/unknown_key_lookups.py",
        "if self._is_under_way and self._steady() < self._began_at + 10 * _AGAIN_AFTER:",
        Kind.BOUNDARY,
    ): _CLOCK,
    (
        "src/clusterpass/metrics/families.py",
        "@dataclass(frozen=True, slots=True, eq=False)",
        Kind.KEYWORD,
    ): "no two families are alike; to compare them takes longer",
    (
        "src/clusterpass/users/directory.py",
        "entry: StoredUser = field(repr=False)",
        Kind.KEYWORD,
    ): "an entry does not show its hash",
    (
        "src/clusterpass/migrate/old_issuer.py",
        "_LATEST: Final = 2**32",
        Kind.NUMBER,
    ): "later than any clock tells",
    (
        "src/clusterpass/migrate/old_issuer.py",
        'expires_at, not_before = _seconds(members.get("exp")), _seconds(members.get("nbf", 0))',
        Kind.NUMBER,
    ): _FIRST,
    (
        "src/clusterpass/tokens/keys.py",
        "return compare_digest("
        "*(json.dumps(key._whole(), sort_keys=True) for key in (self, other)))",
        Kind.KEYWORD,
    ): "the members of a key come in the order of its type",
    (
        "src/clusterpass/protocol/records.py",
        "active_at: int = field(init=False, repr=False, compare=False)",
        Kind.FLAG,
    ): "it follows from what is compared",
    (
        "src/clusterpass/protocol/records.py",
        "active_at: int = field(init=False, repr=False, compare=False)",
        Kind.KEYWORD,
    ): "it follows from what is compared",
    (
        "src/clusterpass/protocol/records.py",
        "ends_at: int = field(init=False, repr=False, compare=False)",
        Kind.FLAG,
    ): "it follows from what is compared",
    (
        "src/clusterpass/protocol/records.py",
        "ends_at: int = field(init=False, repr=False, compare=False)",
        Kind.KEYWORD,
    ): "it follows from what is compared",
    (
        "src/clusterpass/sessions/memory/clocks.py",
        "return most if agreed is None or agreed - most <= _BEHIND else agreed",
        Kind.BOUNDARY,
    ): "what is measured is never exactly a limit",
    (
        "src/clusterpass/sessions/memory/node_trust.py",
        "self.uses += 1",
        Kind.NUMBER,
    ): "only whether it grows counts",
    (
        "src/clusterpass/protocol/keyspace.py",
        "_sessions: bytes = field(init=False, repr=False, compare=False)",
        Kind.FLAG,
    ): "it follows from the namespace, which is compared",
    (
        "src/clusterpass/protocol/keyspace.py",
        "_activity: bytes = field(init=False, repr=False, compare=False)",
        Kind.KEYWORD,
    ): "it follows from the namespace, which is compared",
    (
        "src/clusterpass/protocol/keyspace.py",
        "_online: bytes = field(init=False, repr=False, compare=False)",
        Kind.KEYWORD,
    ): "it follows from the namespace, which is compared",
    (
        "src/clusterpass/protocol/calls/journal.py",
        "began_at: int = 0",
        Kind.NUMBER,
    ): "it counts after the first reply only, which sets it",
    (
        "src/clusterpass/tokens/key_strength.py",
        "return math.prod(number for number in range(2, _MOST_SMALL_FACTOR) if is_prime[number])",
        Kind.NUMBER,
    ): "an even modulus is refused before",
    (
        "src/clusterpass/sessions/memory/push_generations.py",
        "self.events = 0",
        Kind.NUMBER,
    ): "only the order of the numbers counts",
    (
        "src/clusterpass/tokens/managed_keys.py",
        "self._now < each.signs_from <= usual + how.rotate_after",
        Kind.BOUNDARY,
    ): "a clock that is years ahead, roughly",
    (
        "src/clusterpass/tokens/managed_keys.py",
        "return max(int(self._now), *before, 0)",
        Kind.NUMBER,
    ): _LATER,
    (
        "src/clusterpass/protocol/calls/call_time.py",
        "if not 0 <= milliseconds <= _MOST:",
        Kind.NUMBER,
    ): "0 is brought to 0",
    (
        "src/clusterpass/protocol/calls/call_time.py",
        "if not 0 <= milliseconds <= _MOST:",
        Kind.BOUNDARY,
    ): "an end of the range is brought to itself",
    (
        "src/clusterpass/tokens/secret_strength.py",
        "last_step, length = None, 0",
        Kind.NUMBER,
    ): "the first step is another than none, and begins at one",
    (
        "src/clusterpass/model/environment_settings.py",
        "held = file.read(_LARGEST_FILE + 1)",
        Kind.NUMBER,
    ): "any byte more is too much",
    (
        "src/clusterpass/sessions/authentication.py",
        "lowest = -1 if level is None else config.levels.index(level)",
        Kind.NUMBER,
    ): "no rank is below that of an unknown level",
    (
        "src/clusterpass/sessions/memory/cutoff.py",
        "self.milliseconds = 0",
        Kind.NUMBER,
    ): _FIRST,
    (
        "src/clusterpass/sessions/memory/node_state.py",
        "NEVER: Final = Lease(None, 0)",
        Kind.NUMBER,
    ): "a lease that never holds is of no generation",
    (
        "src/clusterpass/sessions/audit_check.py",
        "if len(self._faults) < MOST_FAULTS:",
        Kind.BOUNDARY,
    ): "the report has no more than that",
    (
        "src/clusterpass/model/old_tokens.py",
        "if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LATEST:",
        Kind.BOUNDARY,
    ): "later than any clock tells",
    (
        "src/clusterpass/sessions/event_deduplication.py",
        "self._since = max(self._since or 0.0, forgotten.touched_at)",
        Kind.NUMBER,
    ): "no subject was touched before the first listener",
    (
        "src/clusterpass/tokens/secret_strength.py",
        "if length < least:",
        Kind.BOUNDARY,
    ): "one byte more is kept of what is repeated",
    (
        "src/clusterpass/model/environment_settings.py",
        "meant = get_close_matches(variable.removeprefix(prefix), names, 1, _ALIKE)",
        Kind.NUMBER,
    ): "only the first is told",
    (
        "src/clusterpass/integrations/celery.py",
        "longest = min(_LONGEST_PAUSE, 2.0 ** min(retries, 10))",
        Kind.NUMBER,
    ): "two to the tenth is longer than the longest pause already",
}
for _line in (
    'tag: "HMAC" = field(repr=False)',
    'chain: "HMAC" = field(repr=False)',
    'exchange: "HMAC" = field(repr=False)',
):
    for _kind in (Kind.FLAG, Kind.KEYWORD):
        REVIEWED["src/clusterpass/tokens/refresh_secrets.py", _line, _kind] = (
            "an HMAC shows nothing of its key"
        )
_SIGNALS = (
    "setting_changed.connect(forget, ",
    "user_logged_in.connect(_logged_in, ",
    "user_logged_out.connect(_logged_out, ",
    "user_login_failed.connect(_login_failed, ",
)
for _signal in _SIGNALS:
    REVIEWED[
        "src/clusterpass/integrations/django/signals.py",
        f'{_signal}dispatch_uid="clusterpass")',
        Kind.KEYWORD,
    ] = "Django knows a function that it was given before"
_ROUTES = "src/clusterpass/service/page/routes.py"
for _path, _line in (
    (_ROUTES, 'app.add_route(path, endpoint(handler), methods=["GET"], include_in_schema=False)'),
    (
        _ROUTES,
        'app.add_route(paths.prefix, endpoint(_go_home), methods=["GET"], include_in_schema=False)',
    ),
    (
        _ROUTES,
        "app.add_route(paths.at(path), endpoint(handler), methods=[method],"
        " include_in_schema=False)",
    ),
    (
        "src/clusterpass/service/fastapi_app.py",
        'app.add_route("/openapi.json", openapi, methods=["GET"], include_in_schema=False)',
    ),
):
    REVIEWED[_path, _line, Kind.KEYWORD] = "the schema has FastAPI's own routes alone"
_OWN_KEYS = {
    "litestar_requests": (
        "OWNER: owner",
        "CONNECTION: connection",
        "VISIT: visit",
        "REFUSAL: refusal",
    ),
    "starlette_requests": ("_VISIT: visit", "_IS_WRAPPED: is_wrapped", "_RECALLED: recalled"),
}
for _module, _keys in _OWN_KEYS.items():
    for _name, _key in (each.split(": ") for each in _keys):
        REVIEWED[
            f"src/clusterpass/integrations/{_module}.py",
            f'{_name}: Final = "clusterpass.{_key}"',
            Kind.NAME,
        ] = "a key of a request that nothing else reads"
_INDEX = "src/clusterpass/sessions/memory/token_index.py"
_PACKED = "src/clusterpass/sessions/memory/packed_tokens.py"
_LOOKS = "src/clusterpass/store/drivers/watch_look_ups.py"
_COMMIT = "src/clusterpass/store/wire/group_commit.py"
_RECORDING = "src/clusterpass/managers/aio/recording.py"
_WINDOW = "src/clusterpass/store/wire/multiplexed.py"
_ESTIMATE = "an estimate of memory, measured to a few per cent"
_BOUND = "a bound of memory or of a batch"
_PORTION = "how much of the upkeep is done at a time, chosen by measuring"
# path:name -> why another number is as correct.
PACES: dict[str, str] = {
    f"{_INDEX}:_OBJECT_BYTES": _ESTIMATE,
    "src/clusterpass/sessions/memory/followed_sessions.py:_FEW": _BOUND,
    f"{_INDEX}:MOST_OBJECTS": _BOUND,
    f"{_INDEX}:_CALL_BYTES": _ESTIMATE,
    "src/clusterpass/sessions/memory/audit_queue.py:MOST_AT_ONCE": _BOUND,
    f"{_INDEX}:_OBJECTS_PART": "how many entries are objects, chosen by measuring",
    f"{_INDEX}:_PACKED_BYTES": _ESTIMATE,
    f"{_PACKED}:_OVERHEAD": _ESTIMATE,
    f"{_PACKED}:_COUNT_BITS": "how many bits hold the number of a key's entries",
    f"{_LOOKS}:_SECONDS_UNTIL_LOOK_UP": "how often the slots are looked up if nothing asks for it",
    "src/clusterpass/tokens/secret_strength.py:LEAST_BITS": "less than what random secrets have",
    "src/clusterpass/tokens/secret_strength.py:_FEWEST_PAIRS": "how many letters tell of words",
    f"{_COMMIT}:_LARGEST_BATCH": _BOUND,
    f"{_COMMIT}:_BATCH_MILLISECONDS": _BOUND,
    f"{_WINDOW}:_FIRST_WINDOW": _BOUND,
    f"{_WINDOW}:_SMALLEST_WINDOW": _BOUND,
    f"{_WINDOW}:_LARGEST_WINDOW": _BOUND,
    f"{_WINDOW}:_GROWTH": _BOUND,
    f"{_WINDOW}:_MOST_IN_A_PACKET": _BOUND,
    "src/clusterpass/sessions/event_deduplication.py:MOST_SUBJECTS": _BOUND,
    "src/clusterpass/sessions/memory/denials.py:_GENERATION_MILLISECONDS": "an hour, roughly",
    "src/clusterpass/sessions/memory/denials.py:MOST_SESSIONS": _BOUND,
    "src/clusterpass/sessions/memory/denials.py:MOST_SUBJECTS": _BOUND,
    "src/clusterpass/store/exchanges/evidence.py:_MOST_FILLED_AT_ONCE": _BOUND,
    "src/clusterpass/doctor/node_connection.py:_CHUNK": _BOUND,
    f"{_RECORDING}:_TURN_SECONDS": _PORTION,
    f"{_RECORDING}:_LINGERING_SECONDS": _PORTION,
    f"{_RECORDING}:_QUIET_SECONDS": "how long nothing has failed before that is told",
    "src/clusterpass/managers/aio/audit_writer.py:_GATHERING_SECONDS": _PORTION,
    "src/clusterpass/managers/aio/watching.py:_CLOSING_SECONDS": _AT_LEAST,
    "src/clusterpass/managers/workers/aio.py:_CANCELLING_SECONDS": _AT_MOST,
    "src/clusterpass/managers/workers/aio.py:_POLLING_SECONDS": _ASKED_AGAIN,
    "src/clusterpass/managers/workers/aio.py:SECONDS_BETWEEN_TURNS": "how often calls look after"
    " background work whose event loop may have ended",
    "src/clusterpass/managers/closing.py:_POLLING_SECONDS": _ASKED_AGAIN,
    f"{_INDEX}:_CHECKED_FOR_EXPIRY": _PORTION,
    f"{_INDEX}:_LOOKED_AT": _PORTION,
    f"{_INDEX}:_PACKED_AT_ONCE": _PORTION,
    f"{_INDEX}:_EVICTED_AT_ONCE": _PORTION,
}
