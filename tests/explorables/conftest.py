"""The tests of explorables share a browser: it takes seconds of the processor to start one."""

import pytest
from browser import launched

chromium = pytest.fixture(launched, scope="package", name="chromium")
