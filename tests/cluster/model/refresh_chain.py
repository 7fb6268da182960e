"""The reference model of refresh tokens, presented in any order and after a rollback."""

from dataclasses import dataclass

from .records import REMEMBERED_STEPS, Refused


@dataclass
class Link:
    """A refresh token among those of its session."""

    token: str
    rotation: int
    before: "Link | None" = None
    key: int | None = None
    """Which key derived it from the one before; None: none did."""


@dataclass
class Place:
    """The position of the store in the refresh chain of a session."""

    newest: Link
    refreshed: int
    began: int
    """When the first of the refreshes was that followed each other within the grace."""
    burst: int = 0


class Chain:
    """The refresh tokens of one session, presented in any order, also after a rollback."""

    def __init__(self, grace: int, token: str, now: int, *, until_used: bool = False) -> None:
        self.grace, self.until_used = grace, until_used
        self.is_used = False
        """Whether an access token of the last exchange was used."""
        self.place = Place(Link(token, 0), now, now)
        self.links = {token: self.place.newest}
        self.reuse: str | None = None

    def present(self, token: str, key: int, now: int, made: str | None) -> str | None:
        """The successor of ``token``, as a manager whose keys begin with ``key`` makes it."""
        if self.reuse:
            raise Refused("InvalidRefreshToken", "reused", tells=self.reuse)
        link, place = self.links[token], self.place
        steps = place.newest.rotation - link.rotation
        path = self._path_from(link)
        is_fresh = now - place.refreshed <= self.grace
        if steps > 1:
            is_fresh = steps <= place.burst and now - place.began <= self.grace
        elif path and not is_fresh and self.until_used and not self.is_used:
            self.place = Place(place.newest, now, now, 1)
            return path[0].token
        if path and is_fresh:
            return path[0].token
        if link is place.newest or steps < 0:  # ahead: the store has lost an exchange
            return self._exchange(link, key, now, made)
        if steps == 0 or (self.grace and steps <= REMEMBERED_STEPS and not path):
            self.reuse = "foreign"
        else:
            self.reuse = "recent" if steps == 1 else "stale"
        raise Refused("RefreshTokenReused", self.reuse)

    def use(self, rotation: int) -> None:
        """An access token that was issued with a refresh token of this rotation is used."""
        if 0 < rotation == self.place.newest.rotation:
            self.is_used = True

    def _path_from(self, link: Link) -> list[Link]:
        """The tokens from behind ``link`` to the newest, if one key can tell that they are."""
        path: list[Link] = []
        each: Link | None = self.place.newest
        while self.grace and each and each.rotation > link.rotation:
            path.insert(0, each)
            each = each.before
        same_key = len({one.key for one in path}) == 1
        return path if each is link and same_key and len(path) <= REMEMBERED_STEPS else []

    def _exchange(self, link: Link, key: int, now: int, made: str | None) -> str | None:
        place = self.place
        began, burst = place.began, place.burst
        if not burst or now - place.refreshed > self.grace:
            began, burst = now, 0
        elif now - began > self.grace:
            began, burst = place.refreshed, 1
        lost = max(0, link.rotation - place.newest.rotation)
        if lost:
            began = now
        if made:
            known = self.links.get(made)
            # The same token from the same key, also after a rollback; never without a grace.
            if known and (not self.grace or (known.before, known.key) != (link, key)):
                raise AssertionError("a successor of two tokens")
            successor = known or Link(made, link.rotation + 1, link, key if self.grace else None)
            self.links[made] = successor
            self.place = Place(successor, now, began, burst + lost + 1)
            self.is_used = False
        return made
