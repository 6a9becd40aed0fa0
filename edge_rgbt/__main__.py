"""`python -m edge_rgbt` is `edge-rgbt`."""

import sys

from edge_rgbt.cli import main

sys.exit(main())
