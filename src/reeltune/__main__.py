"""`python -m reeltune` is the `reeltune` command."""

import sys

from reeltune.cli.main import main

sys.exit(main())
