"""`python -m ushape` is `ushape`."""

from __future__ import annotations

from ushape.cli import main

if __name__ == "__main__":
    main()
