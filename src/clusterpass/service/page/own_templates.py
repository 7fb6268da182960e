"""Loads the operator's templates, and checks all of them before any is shown.

Each built-in template is available under its own name and as ``clusterpass/NAME``, so that a
template that replaces it can extend it. All templates escape values: ``safe`` and ``autoescape``
are refused.
"""

from pathlib import Path
from typing import Final

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    DictLoader,
    Environment,
    PackageLoader,
    PrefixLoader,
    TemplateNotFound,
    TemplateSyntaxError,
    meta,
    nodes,
)

from clusterpass import ConfigurationError

PACKAGE: Final = "clusterpass.service.page"
ORIGINAL: Final = "clusterpass"
"""The folder by which a template reaches one of ours that it replaces."""
_REFERENCES: Final = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)
_UNSAFE: Final = frozenset({"safe"})


def own_templates(folder: Path | None) -> dict[str, str]:
    """Return the text of each template in ``folder`` by its name; none where it is None.

    Raises ConfigurationError when they cannot be read.
    """
    if folder is None:
        return {}
    if not folder.is_dir():
        raise ConfigurationError(
            f"the setting page_templates: {folder} is not a folder; give that of your templates"
        )
    texts = {}
    for path in sorted(folder.glob("*.html")):
        try:
            texts[path.name] = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"the setting page_templates: {path} cannot be read as UTF-8 text"
                f" ({type(error).__name__})"
            ) from None
    if not texts:
        raise ConfigurationError(
            f"the setting page_templates: there is no file *.html in {folder}; add one, or leave"
            " the setting out"
        )
    return texts


def loader(own: dict[str, str]) -> BaseLoader:
    """Return what loads the operator's templates, and ours for the others."""
    ours = PackageLoader(PACKAGE)
    return ChoiceLoader([DictLoader(own), ours, PrefixLoader({ORIGINAL: ours})])


def check_templates(environment: Environment, folder: Path, own: dict[str, str]) -> None:
    """Return if each of the operator's templates can be shown; raise ConfigurationError if not."""
    ours = set(PackageLoader(PACKAGE).list_templates())
    known = _variables(environment, ours) | set(environment.globals)
    for name, text in own.items():
        path = folder / name
        if name not in ours and not name.startswith("_"):
            raise ConfigurationError(
                f"the setting page_templates: {path} replaces no template; the names are"
                f" {', '.join(sorted(ours))}, and what they include begins with _"
            )
        try:
            tree = environment.parse(text)
            environment.from_string(text)
        except TemplateSyntaxError as error:
            raise _refused(path, error.lineno, error.message or "is not valid") from None
        _check_tree(environment, path, tree, known)


def _check_tree(
    environment: Environment, path: Path, tree: nodes.Template, known: set[str]
) -> None:
    for each in tree.find_all(nodes.Filter):
        if each.name in _UNSAFE:
            raise _refused(path, each.lineno, f"the filter {each.name} is not allowed")
    for block in tree.find_all(nodes.ScopedEvalContextModifier):
        raise _refused(path, block.lineno, "autoescape stays as it is")
    for reference in tree.find_all(_REFERENCES):
        template = getattr(reference, "template", None)
        if not isinstance(template, nodes.Const) or not isinstance(template.value, str):
            raise _refused(path, reference.lineno, "name the other template by a string")
        try:
            environment.get_template(template.value)
        except TemplateNotFound:
            problem = f"there is no template {template.value!r}"
            raise _refused(path, reference.lineno, problem) from None
        except TemplateSyntaxError:
            continue  # that one is refused itself
    for name in sorted(meta.find_undeclared_variables(tree) - known - _defined(tree)):
        lines = [each.lineno for each in tree.find_all(nodes.Name) if each.name == name]
        raise _refused(path, min(lines, default=1), f"no page has a value {name!r}")


def _defined(tree: nodes.Template) -> set[str]:
    """Return the names that a template defines itself, which its blocks see."""
    names = {each.name for each in tree.find_all(nodes.Name) if each.ctx == "store"}
    names |= {each.name for each in tree.find_all(nodes.Macro)}
    names |= {each.target for each in tree.find_all(nodes.Import)}
    for each in tree.find_all(nodes.FromImport):
        names |= {name if isinstance(name, str) else name[1] for name in each.names}
    return names


def _variables(environment: Environment, ours: set[str]) -> set[str]:
    """Return the names of all values that templates of ours show."""
    found = {"at", "here", "style"}
    for name in ours:
        source = PackageLoader(PACKAGE).get_source(environment, name)[0]
        found |= meta.find_undeclared_variables(environment.parse(source))
    return found


def _refused(path: Path, line: int, problem: str) -> ConfigurationError:
    return ConfigurationError(f"the setting page_templates: {path}, line {line}: {problem}")
