"""The score of each layer, and the mutants that survived."""

from collections.abc import Sequence

from .trial import Outcome, Verdict


def score_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """A table in Markdown: for each layer the mutants, those found, and the share."""
    judged = [one for one in outcomes if one.verdict is not Verdict.NONE]
    rows = ["| layer | mutants | found | score |", "|---|---|---|---|"]
    for layer in [*dict.fromkeys(one.layer for one in judged), "all"]:
        of_layer = [one for one in judged if layer in {one.layer, "all"}]
        found = sum(one.is_found for one in of_layer)
        share = f"{100 * found / len(of_layer):.0f} %" if of_layer else "-"
        rows.append(f"| {layer} | {len(of_layer)} | {found} | {share} |")
    return rows


def survivor_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """The changes that no test noticed, one a line."""
    return [
        f"- {one.mutant.describe()} ({one.verdict}; {one.tests} tests)"
        for one in outcomes
        if one.verdict in {Verdict.SURVIVED, Verdict.DOUBTFUL, Verdict.NO_TEST}
    ]
