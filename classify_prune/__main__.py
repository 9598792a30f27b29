"""`python -m classify_prune` is `classify-prune`."""

import sys

from classify_prune.cli import main

sys.exit(main())
