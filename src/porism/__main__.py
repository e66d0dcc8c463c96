"""``python -m porism`` is the ``porism`` command."""

import signal
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; also a Ctrl-C while it is being loaded ends with one line and code 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from porism.cli import main as run

        run()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stderr.write("porism: Stopped. The same command goes on from here.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
