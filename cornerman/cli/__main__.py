"""`python -m cornerman.cli`: the command, for processes that start another one."""

from cornerman.cli.main import main

if __name__ == "__main__":
    main()
