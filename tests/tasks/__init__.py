import pytest

pytest.register_assert_rewrite("tests.tasks.contract")  # whose failures are all that a new task is told
