"""`python -m harness` is `slotwise`."""

from harness.cli.app import main

main()
