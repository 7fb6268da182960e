"""The tests in docs/howto/testing.md pass: they are collected here as they stand there."""

import re
from pathlib import Path

_GUIDE = Path(__file__).parents[2] / "docs/howto/testing.md"
_TEXT = _GUIDE.read_text("utf-8")
for _block in re.finditer(r"^```python\n(.*?)^```", _TEXT, re.MULTILINE | re.DOTALL):
    _before = _TEXT[: _block.start()].count("\n") + 1
    exec(compile("\n" * _before + _block[1], str(_GUIDE), "exec"))


def test_the_guide_has_tests() -> None:
    assert len([name for name in globals() if name.startswith("test_")]) == 7
