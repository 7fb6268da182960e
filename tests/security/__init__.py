import pytest

# A failed assertion of a helper shows its values, too.
pytest.register_assert_rewrite(f"{__name__}.tokens")
