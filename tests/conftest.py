"""For all tests: the plugins of Kur that a user has at home have no part in them."""

from __future__ import annotations

import os

os.environ["KUR_PLUGIN"] = "none"
