"""A strict verify, compared with the smallest program that does the same and remembers no token.

That program makes one bare script call of redis-py and checks the signature. Its time is stated in
two ways: as the sum of both steps measured separately, and as one program that does both in turn.
The latter takes longer than the sum, because neither step stays in the processor's caches while
the other runs.
"""

from benchmarks.fixtures import cluster_client, logged_in, server_version, single_client
from benchmarks.report import Goal, Report, microseconds
from benchmarks.timing import Times, measure
from clusterpass import EmbeddedCluster
from clusterpass.tokens.algorithms import SigningAlgorithm

MOST = 1.3
ALGORITHMS: tuple[SigningAlgorithm, ...] = ("HS256", "EdDSA")
_CLIENTS = ("redis.Redis", "redis.RedisCluster")


def run(*, rounds: int = 300, calls: int = 15) -> Report:
    """Measure on six nodes."""
    rows: list[list[str]] = []
    goals: list[Goal] = []
    with EmbeddedCluster(nodes=6) as cluster:
        server = server_version(cluster)
        for algorithm in ALGORITHMS:
            times = _measure(cluster, algorithm, rounds, calls)
            for client in _CLIENTS:
                sum_ratio = times.ratio("verify", client, "signature")
                turn_ratio = times.ratio("verify", f"{client} then signature")
                rows.append(
                    [
                        algorithm,
                        client,
                        microseconds(times.median("verify")),
                        microseconds(times.median(client)),
                        microseconds(times.median("signature")),
                        str(turn_ratio),
                        str(sum_ratio),
                    ]
                )
                what = f"{algorithm}, peer {client}"
                goals.append(Goal(f"{what}, in turn", turn_ratio.median, at_most=MOST))
                goals.append(Goal(f"{what}, sum", sum_ratio.median, at_most=MOST))
    return Report(
        name="strict_verify",
        title="A strict verify compared with a bare script call and a signature check",
        text=(
            '`SessionManager.verify` with `verification="strict"` on six nodes, one thread. It '
            "remembers that the signature of the token was valid, and asks the store each "
            "time. The peers send the same script with the same keys and arguments, through a "
            "client that is connected to the owner of the slot (`redis.Redis`: no routing, no "
            "deadline, no retries on other nodes) or through redis-py's cluster client, and "
            "check the signature with `TokenVerifier.verify`. *In turn*: one program that does "
            "both for each request, as any real one must. *Sum*: both measured separately, "
            "each in a loop of its own. The sum is less than the work takes in turn, because "
            "code in a tight loop stays in the processor's caches, and code between two calls "
            "to a server does not. Any program that checks a signature for each request pays "
            "that difference, and it makes the sum vary more from run to run. Times in us."
        ),
        columns=(
            "algorithm",
            "peer's client",
            "verify",
            "script",
            "signature",
            "verify : in turn",
            "verify : sum",
        ),
        rows=rows,
        goals=goals,
        servers=[server],
    )


def _measure(
    cluster: EmbeddedCluster, algorithm: SigningAlgorithm, rounds: int, calls: int
) -> Times:
    with (
        logged_in(cluster, algorithm) as user,
        single_client(user.node) as single,
        cluster_client(user.node) as routed,
    ):
        token, arguments = user.access_token, user.evalsha

        def single_then_signature() -> None:
            single.evalsha(*arguments)
            user.verifier.verify(token)

        def routed_then_signature() -> None:
            routed.evalsha(*arguments)
            user.verifier.verify(token)

        return measure(
            {
                "verify": lambda: user.manager.verify(token),
                "redis.Redis": lambda: single.evalsha(*arguments),
                "redis.RedisCluster": lambda: routed.evalsha(*arguments),
                "signature": lambda: user.verifier.verify(token),
                "redis.Redis then signature": single_then_signature,
                "redis.RedisCluster then signature": routed_then_signature,
            },
            rounds=rounds,
            calls=calls,
        )
