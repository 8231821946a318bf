"""`python -m jada_configd`, for an environment without the console script."""

import sys

from jada_configd.cli import main

sys.exit(main())
