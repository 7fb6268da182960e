"""The operator's brand: which settings and files are refused, and what the page is made of."""

from pathlib import Path
from typing import Any

import pytest

from clusterpass import ConfigurationError
from clusterpass.service.asgi.log_lines import make_logger
from clusterpass.service.page.brand import Brand
from clusterpass.service.page.template_environments import Pages
from clusterpass.service.settings.colour_contrast import (
    DARK_GROUNDS,
    LIGHT_GROUNDS,
    contrast,
    lowest_contrast,
    readable_shade,
    text_on,
)
from clusterpass.service.settings.loading import make_settings
from clusterpass.service.settings.service import Settings

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 2"><path d="M0 0h2v2z"/></svg>'
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16


def settings(**given: Any) -> Settings:
    return make_settings({"store_url": "embedded://", "keys_file": "keys.json", **given})


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({"page_name": " "}, "printable characters"),
        ({"page_name": "a\nb"}, "printable characters"),
        ({"page_name": "x" * 61}, "at most 60"),
        ({"page_color": "teal"}, "such as #0f766e"),
        ({"page_color": "#0f766e; } body { color: red"}, "such as #0f766e"),
        ({"page_color": "#ffcc00"}, "contrast of 1.3:1 .* choose a darker colour, such as #"),
        ({"page_color_dark": "#003366"}, "contrast of 1.2:1 .* choose a lighter colour, such as #"),
        ({"page_links": "Imprint"}, "LABEL=TARGET"),
        ({"page_links": "=/imprint"}, "LABEL=TARGET"),
        ({"page_links": "Imprint=http://example.org/"}, "begins with https://"),
        ({"page_links": "Imprint=javascript:alert(1)"}, "begins with https://"),
        ({"page_links": "Imprint=//example.org/"}, "begins with one slash"),
        ({"page_links": "Imprint=/\\example.org"}, "begins with one slash"),
        ({"page_links": 'Imprint=/"onclick'}, "begins with one slash"),
        ({"page_links": "Imprint=imprint.html"}, "begins with one slash"),
    ],
)
def test_a_setting_that_is_refused_says_what_to_do(given: dict[str, str], advice: str) -> None:
    (name,) = given
    with pytest.raises(ConfigurationError, match=f"{name}.*{advice}"):
        settings(**given)


def test_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTERPASS_PAGE_NAME", "Example & Söhne")
    monkeypatch.setenv(
        "CLUSTERPASS_PAGE_LINKS", "Impressum=/imprint, Help=https://example.org/?a=b"
    )
    found = settings()
    assert found.page_name == "Example & Söhne"
    assert found.links_of_page() == (
        ("Impressum", "/imprint"),
        ("Help", "https://example.org/?a=b"),
    )


@pytest.mark.parametrize("colour", ["#ffcc00", "#ff0000", "#00ff00", "#777777", "#ffffff"])
def test_the_shade_that_is_suggested_can_be_read(colour: str) -> None:
    for grounds, is_dark in ((LIGHT_GROUNDS, False), (DARK_GROUNDS, True)):
        shade = readable_shade(colour, grounds, is_dark=is_dark)
        assert lowest_contrast(shade, grounds) >= 4.5
        assert contrast(shade, text_on(shade)) >= 4.5


def test_the_contrast_of_colours() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert contrast("#123456", "#123456") == 1


def test_the_grounds_are_those_of_the_style_sheet() -> None:
    style = Pages(Brand("X")).style.decode()
    for light, dark in zip(LIGHT_GROUNDS, DARK_GROUNDS, strict=True):
        assert f": {light};" in style and f": {dark};" in style


def test_colours_reach_the_style_sheet_and_its_version() -> None:
    plain, branded = (Pages.of(settings(**given)) for given in ({}, {"page_color": "#7A1FA2"}))
    assert b"--main: #7a1fa2; " in branded.style and b"#7a1fa2" not in plain.style
    assert branded.style_version != plain.style_version
    dark = branded.style.decode().rpartition("dark) { :root { --main: ")[2][:7]
    assert lowest_contrast(dark, DARK_GROUNDS) >= 4.5


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (SVG, "image/svg+xml"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n" + SVG, "image/svg+xml"),
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0x", "image/jpeg"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (PNG.ljust(262_144), "image/png"),
    ],
    ids=["svg", "svg of xml", "png", "jpeg", "webp", "the largest"],
)
def test_a_logo(tmp_path: Path, content: bytes, media_type: str) -> None:
    path = tmp_path / "logo"
    path.write_bytes(content)
    logo = Brand.of(settings(page_logo=path)).logo
    assert logo is not None
    assert (logo.content, logo.media_type) == (content, media_type)


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (None, "cannot be read"),
        (b"", "not an image"),
        (b"<html><svg></svg></html>", "not an image"),
        (b"GIF89a", "not an image"),
        (PNG.ljust(262_145), "at most 262144"),
    ],
    ids=["none", "empty", "html", "gif", "too large"],
)
def test_what_is_no_logo(tmp_path: Path, content: bytes | None, advice: str) -> None:
    path = tmp_path / "logo.svg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"page_logo.*{advice}"):
        Brand.of(settings(page_logo=path))


GOOD = '{% extends "clusterpass/message.html" %}{% block title %}{{ title }}!{% endblock %}'


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("message.html", "\n{% if title %}", r"message\.html, line 2: .*end of template"),
        ("message.html", "a\nb\n{{ title | nope }}", r"message\.html, line 3: No filter"),
        ("message.html", "a\n{{ text | safe }}", r"line 2: the filter safe is not allowed"),
        ("message.html", "{% autoescape false %}{% endautoescape %}", "line 1: autoescape stays"),
        ("message.html", "a\n{{ titel }}", r"line 2: no page has a value 'titel'"),
        ("message.html", '{% extends "bsae.html" %}', r"line 1: there is no template 'bsae.html'"),
        ("message.html", "{% include title %}", r"line 1: name the other template by a string"),
        ("mesage.html", "x", r"mesage\.html replaces no template; the names are administration"),
        ("_part.html", "{% endif %}", r"_part\.html, line 1: "),
    ],
)
def test_a_template_that_is_refused(tmp_path: Path, name: str, text: str, problem: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError, match=f"page_templates.*{problem}"):
        Pages.of(settings(page_templates=tmp_path))


def test_a_template_may_use_all_of_jinja_but_what_is_unsafe(tmp_path: Path) -> None:
    (tmp_path / "_help.html").write_text("<p>{{ brand.name }}</p>")
    (tmp_path / "message.html").write_text(
        '{% extends "clusterpass/message.html" %}{% import "parts.html" as own %}'
        '{% from "parts.html" import strong as bold %}{% set word = "w" %}'
        "{% macro twice(text) %}{{ text }}{{ text }}{% endmacro %}"
        "{% block bar %}{{ super() }}{{ self.title() }}{{ twice(word) }}{{ own.bdi(1) }}"
        "{{ bold(2) }}{% for each in [1] %}{{ loop.index }}{{ each }}{% endfor %}"
        '{% include "_help.html" %}{% trans n=language %}is {{ n }}{% endtrans %}{% endblock %}'
    )
    pages = Pages.of(settings(page_templates=tmp_path))
    values = {"title": "T", "text": "x", "at": lambda path, **_: path, "style": "", "here": "/"}
    text = pages.environment("fr").get_template("message.html").render(values)
    assert "Tww<bdi>1</bdi><strong><bdi>2</bdi></strong>11<p>ClusterPass</p>is fr" in text


def test_a_folder_without_templates(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ConfigurationError, match="page_templates"):
            Pages.of(settings(page_templates=folder))
    (tmp_path / "message.html").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        Pages.of(settings(page_templates=tmp_path))


def test_a_worker_goes_on_without_files_that_broke(tmp_path: Path) -> None:
    (tmp_path / "message.html").write_text("{% if %}")
    given = settings(page_templates=tmp_path, page_name="Example")
    pages = Pages.as_far_as_possible(given, make_logger("json"))
    assert pages.brand.name == "Example"
    assert "{% if %}" not in str(pages.environment("en").get_template("message.html").filename)


def test_a_template_replaces_ours_and_escapes(tmp_path: Path) -> None:
    (tmp_path / "message.html").write_text(GOOD)
    pages = Pages.of(settings(page_templates=tmp_path, page_name="A & B"))
    values = {"title": "<b>", "text": "x", "at": lambda path, **_: path, "style": "", "here": "/"}
    text = pages.environment("de").get_template("message.html").render(values)
    assert "<title>&lt;b&gt;! \u2013 A &amp; B</title>" in text
    assert "Zur Startseite" in text and '<html lang="de">' in text
