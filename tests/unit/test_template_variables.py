"""Each template of the page is given all that it shows: what is missing would be an error."""

import ast
from collections.abc import Iterator
from pathlib import Path

import jinja2.meta
from jinja2 import Environment

from clusterpass.service.language.choice import ENGLISH
from clusterpass.service.page import template_environments
from clusterpass.service.page.brand import Brand
from clusterpass.service.page.template_environments import Pages
from clusterpass.service.settings.loading import make_settings

FOLDER = Path(template_environments.__file__).parent
OF_EACH = {"at", "here", "style"}
"""What ``render`` adds."""
OF_JINJA = {"_trans", "parts"}
ARGUMENTS = {"about", "reason", "sure"}
"""The arguments of macros in subject.html."""


def shown_by(environment: Environment, template: str) -> set[str]:
    """The values that a template shows, with those that it extends and imports."""
    tree = environment.parse((FOLDER / "templates" / template).read_text("utf-8"))
    found = jinja2.meta.find_undeclared_variables(tree) - set(environment.globals)
    for other in filter(None, jinja2.meta.find_referenced_templates(tree)):
        found |= shown_by(environment, other)
    return found - OF_EACH - OF_JINJA - ARGUMENTS


def rendered() -> Iterator[tuple[str, set[str], str]]:
    """The template of each call of ``render``, the values that it is given, and where."""
    for path in sorted(FOLDER.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "render":
                assert isinstance(node.args[1], ast.Constant)
                given = {each.arg or "rd" for each in node.keywords}  # **: where to return to
                yield str(node.args[1].value), given, f"{path.name}:{node.lineno}"


def test_each_template_is_given_what_it_shows() -> None:
    settings = make_settings({"store_url": "embedded://", "keys_file": "keys.json"})
    environment = Pages(Brand.of(settings)).environment(ENGLISH)
    used = set()
    for template, given, where in rendered():
        assert shown_by(environment, template) - given == set(), where
        used.add(template)
    parts = {"base.html", "parts.html", "administration.html"}
    assert used | parts == {path.name for path in (FOLDER / "templates").glob("*.html")}
