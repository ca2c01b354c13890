"""The harness of tests/workflows explains its assertions here, too."""

import pytest

pytest.register_assert_rewrite("harness")
