"""`python -m bwnhw.cli`, where the script `bwnhw` isn't on PATH."""

import sys

from bwnhw.cli import main

sys.exit(main())
