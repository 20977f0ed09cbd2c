"""`python -m client`: the command-line messenger."""

import sys

try:
    from client.cli.main import main
except ModuleNotFoundError as missing:
    sys.exit(
        f"letterlock: {missing.name} is not installed: `make run` does that, or `pip install` of the checkout with `[terminal]`"
    )

sys.exit(main())
