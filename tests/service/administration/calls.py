"""The calls under /admin, and who makes them."""

from ..conftest import bearer

ACTS = [
    ("DELETE", "/admin/sessions?subject=bob", None),
    ("POST", "/admin/bans", {"subject": "bob"}),
    ("DELETE", "/admin/bans?subject=bob", None),
    ("PUT", "/admin/claims", {"subject": "bob", "claims": {}}),
    ("POST", "/admin/impersonate", {"subject": "bob", "reason": "Ticket 7"}),
    ("POST", "/admin/erase", {"subject": "bob"}),
    ("DELETE", "/admin/users?subject=bob", None),
    ("POST", "/admin/reset-link", {"subject": "bob"}),
    ("POST", "/admin/invite", {"subject": "bob"}),
    ("POST", "/admin/revoke-before", {"time": 1}),
]
READS = [
    ("GET", "/admin/online", None),
    ("GET", "/admin/online/count", None),
    ("GET", "/admin/sessions?subject=bob", None),
    ("GET", "/admin/history?subject=bob", None),
    ("GET", "/admin/bans?subject=bob", None),
    ("GET", "/admin/claims?subject=bob", None),
    ("GET", "/admin/audit?limit=1", None),
    ("GET", "/admin/export?subject=bob", None),
]


class Administrator:
    """Calls with an administrator's token."""

    def __init__(self, service, tokens):
        self.service, self.tokens = service, tokens

    async def ask(self, method, path, body=None, **query):
        content = {} if body is None else {"json": body}
        return await self.service.client.request(
            method, path, headers=bearer(self.tokens), params=query or None, **content
        )

    async def get(self, path, **query):
        answer = await self.ask("GET", path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()
