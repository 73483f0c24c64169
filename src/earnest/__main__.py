"""`python -m earnest` is the same as the command `earnest`."""

from earnest.cli import main

if __name__ == "__main__":
    main()
