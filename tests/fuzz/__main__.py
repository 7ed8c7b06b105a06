"""`python -m fuzz`; what it does is in a module of its own, since the processes that it starts import that."""

import sys

from fuzz.campaign import main

sys.exit(main())
