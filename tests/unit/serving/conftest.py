"""rayspan_serving is no dependency of the operator's environment: its pure modules are read from the checkout."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "serving_image"))
