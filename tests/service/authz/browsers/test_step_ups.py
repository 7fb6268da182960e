"""Step-ups on the way to an application, and impersonations, by browsers behind a proxy."""

import re

from clusterpass import PasswordHasher, UserDirectory
from tests.service.authz.browsing import APP, PORTAL, Visitor, with_cookie
from tests.service.conftest import CHEAP_KIB, PASSWORD
from tests.service.page_browser import words

from .answers import ACCESS_LIFETIME, subject_of, until_refused


async def test_a_step_up_on_the_way(visitor, alice, clock, service):
    await visitor.log_in(alice)
    assert subject_of(await visitor.open("/recent?x=1")) == alice
    clock.advance(seconds=700)
    before = visitor.cookie
    page = await visitor.open("/recent?x=1")
    assert str(page.url).startswith(f"{PORTAL}/page/step-up?rd=")
    for wrong, status in (("wrong", 401), ("", 400)):
        page = await visitor.submit(page, password=wrong)
        assert page.status_code == status
    back = await visitor.submit(page, password=PASSWORD)
    assert str(back.url) == f"{APP}/recent?x=1"
    assert subject_of(back) == alice
    # A copy from before does not rise, and is good for all else.
    copy = Visitor(service)
    refused = await copy.fetch("/recent", headers=with_cookie(before))
    assert refused.status_code == 401
    assert 'error="insufficient_user_authentication"' in refused.headers["www-authenticate"]
    assert (await copy.fetch("/x", headers=with_cookie(before))).status_code == 200
    # Renewed, the cookie still knows of the step-up, which is over after its time.
    clock.advance(seconds=250)
    assert subject_of(await visitor.open("/recent")) == alice
    clock.advance(seconds=ACCESS_LIFETIME)
    assert subject_of(await visitor.open("/x")) == alice
    assert "step-up" in str((await visitor.open("/recent")).url)


async def test_a_step_up_without_a_session_of_the_page_is_a_login(visitor, alice, clock, manager):
    await visitor.log_in(alice)
    visitor.forget("-access", "-refresh")
    clock.advance(seconds=700)
    page = await visitor.open("/recent")
    assert str(page.url).startswith(f"{PORTAL}/page/login?rd=")
    back = await visitor.submit(page, username=alice, password=PASSWORD)
    assert str(back.url) == f"{APP}/recent"
    assert len(manager.sessions(alice)) == 1, "the session of the cookie was replaced"


async def test_a_step_up_that_the_page_cannot_give_is_explained(visitor, alice):
    await visitor.log_in(alice)
    page = await visitor.open("/admin")
    assert page.status_code == 403
    assert "requires a stronger authentication than a password" in words(page)


async def test_an_impersonation_takes_the_cookie_over(start, make, alice, manager, new_name):
    root = new_name()
    UserDirectory(manager, hasher=PasswordHasher(memory_kib=CHEAP_KIB)).add(root, PASSWORD)
    service = await start(make(administrators=root))
    visitor = Visitor(service)
    await visitor.log_in(root)
    page = await visitor.open(f"{PORTAL}/page/subject?name={alice}")
    token = re.findall(r'name="form_token" value="([^"]+)"', page.text)[0]
    fields = {"form_token": token, "subject": alice, "reason": "help", "minutes": "5"}
    done = await visitor.http.post(
        f"{PORTAL}/page/subject/impersonate",
        data=fields,
        headers={"Origin": APP, "Sec-Fetch-Site": "same-origin"},
    )
    assert done.status_code == 303
    assert subject_of(await visitor.open("/x")) == alice
    manager.revoke_all(root)
    await until_refused(visitor)
