"""Sends problem details (RFC 9457) as responses."""

from clusterpass.service.asgi.messages import Headers, Send, send_response
from clusterpass.web.problems import MEDIA_TYPE, Problem


def problem_headers(problem: Problem, body: bytes) -> Headers:
    """Return the headers of the response that reports ``problem`` by ``body``."""
    return [
        (b"content-length", b"%d" % len(body)),
        (b"content-type", MEDIA_TYPE.encode()),
        *(
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in problem.headers.items()
        ),
    ]


async def send_problem(problem: Problem, send: Send) -> None:
    """Send the response that reports ``problem``."""
    body = problem.body()
    await send_response(send, problem.status, problem_headers(problem, body), body)
