"""Lets `python -m stackctl` do what `stackctl` does."""

from stackctl.cli import main

if __name__ == "__main__":
    main()
