"""`python -m sedi`: the same as the command `sedi`."""

import sys

from sedi.main import main

sys.exit(main())
