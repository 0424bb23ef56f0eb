"""``python -m zoo``, the form that torchrun starts."""

from zoo.cli.main import main

if __name__ == "__main__":
    main()
