"""``python -m porism`` is the ``porism`` command."""

from porism.cli import main

if __name__ == "__main__":
    main()
