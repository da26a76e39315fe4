"""`python -m tests.images [NAME...]`: make sure the engine has the images; print what they are."""

import argparse
import logging
import sys

from tests import engine
from tests.images import ImageError, ensure
from tests.images.provenance import as_table


def main(arguments: list[str] | None = None) -> int:
    """0 where every image is there or known to be missing, 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.images", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args(arguments).names
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        found = ensure(engine.ensure().host, names or None)
    except (engine.EngineUnavailable, ImageError) as error:
        print(error, file=sys.stderr)
        return 1
    print(as_table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
