"""``python -m stentor``: how the supervisor starts its children."""

from stentor.cli import main

if __name__ == "__main__":
    main()
