"""``python -m codecsleuth``."""

from codecsleuth.cli import main

if __name__ == "__main__":
    main()
