"""The `keepfit` command."""

from keepfit.cli.app import main

if __name__ == "__main__":
    main()
