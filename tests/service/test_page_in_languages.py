"""The page in each language, from the login to the logout, and the operator's brand over HTTP."""

import re
from functools import partial

import pytest

from clusterpass import ConfigurationError
from clusterpass.service.app import create_app
from clusterpass.service.language.choice import LANGUAGES
from clusterpass.service.language.translation import language

from .conftest import PASSWORD
from .page_browser import ADDRESS, FIREFOX, Browser, markup, words

COOKIE = "__Host-clusterpass-language"
TRANSLATED = [tag for tag in LANGUAGES if tag != "en"]
DEVICES = {
    "de": "Firefox unter Windows",
    "es": "Firefox en Windows",
    "fr": "Firefox sur Windows",
    "zh-Hans": "Windows 上的 Firefox",
}
ENDED = {
    "de": "Ein anderes Gerät wurde abgemeldet.",
    "es": "Se ha cerrado la sesión de otro dispositivo.",
    "fr": "Un autre appareil a été déconnecté.",
    "zh-Hans": "其他 1 台设备已退出登录。",
}


@pytest.fixture
def root(directory, new_name):
    name = f"root-{new_name()}"
    directory.add(name, PASSWORD)
    return name


@pytest.fixture
async def service(start, settings, root):
    return await start(settings.model_copy(update={"administrators": (root,)}), ADDRESS)


def speaking(service, tag: str) -> Browser:
    browser = Browser(service)
    browser.http.headers["Accept-Language"] = f"it, {tag};q=0.8, en;q=0.5"
    return browser


def said(tag: str, message: str) -> str:
    """A message as ``words`` returns it: with spaces alone between its words."""
    return " ".join(language(tag).gettext(message).split())


def english_left(answer, tag: str) -> set[str]:
    """The messages in English that the page in another language shows whole."""
    spoken = language(tag)
    shown = {each.strip() for each in re.split(r"<[^>]*>", markup(answer)) if each.strip()}
    catalogue = spoken.translations._catalog
    return {text for text in shown if catalogue.get(text, text) != text}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("tag", TRANSLATED)
async def test_a_reader_finds_every_page_in_the_own_language(service, alice, root, tag):
    say = partial(said, tag)
    browser = speaking(service, tag)
    answers = [await browser.get(), await browser.login(alice, "wrong password")]
    assert say("The user name or password is incorrect.") in words(answers[1])
    other = Browser(service, user_agent=FIREFOX)
    await other.login(alice)
    await browser.login(alice)
    answers += [await browser.get(), await browser.get("/page/password")]
    assert DEVICES[tag] in words(answers[2])
    answers.append(await browser.click("/page/sessions/revoke-others"))
    await browser.click("/page/sessions/revoke-others", confirmed="yes")
    answers.append(await browser.get())
    assert ENDED[tag] in words(answers[-1])
    answers.append(await browser.post("/page/logout", {}))
    assert say("Request rejected") in words(answers[-1])
    assert say("The form has expired. Nothing was changed; reload the page and try again.") in (
        words(answers[-1])
    )
    office = speaking(service, tag)
    await office.login(root)
    subject = f"/page/subject?name={alice}"
    answers += [await office.get(path) for path in ("/page/online", subject)]
    answers.append(await office.click("/page/subject/ban", subject, duration="never"))
    assert say("Choose how long the ban lasts.") in words(answers[-1])
    answers.append(await browser.get("/page/online"))
    assert say("Page not found") in words(answers[-1])
    for answer in answers:
        assert f'<html lang="{tag}">' in answer.text
        assert answer.headers["content-language"] == tag
        assert english_left(answer, tag) == set()


@pytest.mark.parametrize("tag", TRANSLATED)
async def test_the_reason_of_an_end_is_in_the_language_too(service, alice, tag):
    sessions = service.app.service.sessions
    browser = speaking(service, tag)
    await browser.login(alice)
    await sessions.bans.add(alice, reason="Spam", for_seconds=3600)
    text = words(await browser.get())
    assert said(tag, "Reason: {reason}").format(reason="Spam") in text
    assert re.search(r"\d:\d\d UTC", text)
    assert "banned" not in text


async def test_what_only_a_forged_form_runs_into_is_not_told_in_english(service, root, alice):
    browser = speaking(service, "de")
    await browser.login(root)
    answer = await browser.click(
        "/page/subject/ban", f"/page/subject?name={alice}", duration="day", scope="a b"
    )
    assert answer.status_code == 400
    assert "Das Formular enthält einen Wert, der nicht verwendet werden kann." in words(answer)


async def test_a_chosen_language_is_kept_and_leads_back(service, alice):
    browser = speaking(service, "fr")
    await browser.login(alice)
    back = "/page/password?x=1"
    assert f'<input type="hidden" name="back" value="{back}">' in (await browser.get(back)).text
    answer = await browser.post("/page/language", {"back": back, "language": "de"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/page/password?x=1")
    kept = [each for each in answer.headers.get_list("set-cookie") if each.startswith(COOKIE)]
    assert len(kept) == 1 and "Max-Age=31536000;" in kept[0] and "HttpOnly" in kept[0]
    assert "Passwort ändern" in await browser.text("/page/password")
    assert re.search(r'value="de" lang="de" aria-current="true"', (await browser.get()).text)


@pytest.mark.parametrize(
    "back",
    [
        *("", "//evil.example/", "https://evil.example/", "/\\evil.example", "/page/logout"),
        *("/admin/online", "/page/login\r\nX: y", "/?\u00e9", "/page/login/../x"),
    ],
)
async def test_the_choice_leads_nowhere_else(service, back):
    answer = await Browser(service).post("/page/language", {"language": "es", "back": back})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_no_other_site_and_no_other_language(service):
    browser = Browser(service)
    refused = await browser.post("/page/language", {"language": "it", "back": "/"})
    assert refused.status_code == 400
    elsewhere = {"Origin": "https://evil.example"}
    assert (await browser.post("/page/language", {"language": "de"}, elsewhere)).status_code == 403
    for answer in (refused, await browser.get()):
        assert COOKIE not in str(answer.headers)
        assert '<html lang="en">' in answer.text


async def test_a_refused_login_keeps_its_way_back(service):
    browser = Browser(service)
    answer = await browser.login("nobody", "wrong password")
    assert '<input type="hidden" name="back" value="/page/login">' in answer.text


# The brand.


@pytest.fixture
async def branded(start, settings, tmp_path):
    logo, folder = tmp_path / "logo.svg", tmp_path / "templates"
    logo.write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    folder.mkdir()
    (folder / "message.html").write_text(
        '{% extends "clusterpass/message.html" %}{% block bar %}<p>{{ _("Log in") }}?</p>'
        "{% endblock %}"
    )
    update = {
        "page_name": "Example & <Co>",
        "page_logo": logo,
        "page_color": "#7a1fa2",
        "page_links": ("Imprint=/imprint", "Help=https://help.example/?a=1&b=2"),
        "page_templates": folder,
    }
    return await start(settings.model_copy(update=update), ADDRESS)


async def test_each_page_carries_the_brand(branded):
    browser = Browser(branded)
    answer = await browser.get()
    assert "<title>Log in \u2013 Example &amp; &lt;Co&gt;</title>" in answer.text
    assert '<a href="/imprint" rel="noreferrer">Imprint</a>' in answer.text
    assert 'href="https://help.example/?a=1&amp;b=2"' in answer.text
    assert "ClusterPass" not in answer.text
    source = re.search(r'<img src="([^"]*)" alt="">', answer.text)[1]
    logo = await browser.get(source)
    assert logo.headers["content-type"] == "image/svg+xml"
    assert "immutable" in logo.headers["cache-control"]
    assert logo.headers["content-security-policy"].endswith("sandbox")
    style = re.search(r'<link rel="stylesheet" href="([^"]*)">', answer.text)[1]
    assert "--main: #7a1fa2;" in (await browser.get(style)).text
    lost = await browser.get("/page/link?token=x")
    assert "Log in?" in words(lost)


async def test_without_a_logo_there_is_none(service):
    assert (await Browser(service).get("/page/logo")).status_code == 404


def test_the_service_does_not_start_with_a_wrong_template(settings, tmp_path):
    (tmp_path / "login.html").write_text("{{ passwort }}")
    with pytest.raises(ConfigurationError, match=r"login\.html, line 1: .*'passwort'"):
        create_app(settings.model_copy(update={"page_templates": tmp_path}))
