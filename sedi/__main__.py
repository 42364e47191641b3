"""`python -m sedi`: the same as the command `sedi`, wherever it is started."""

import sys
from pathlib import Path

if not sys.flags.safe_path and Path(sys.path[0]).resolve() != Path(__file__).resolve().parent.parent:
    del sys.path[0]  # the working directory, where a folder named as one of ours would be taken for it

from sedi.main import main

sys.exit(main())
