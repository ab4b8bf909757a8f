"""The command `pawl` of the wheel: the program that lies beside the library takes over this process."""
import os
import pathlib
import sys


def main():
    program = str(pathlib.Path(__file__).with_name("bin") / "pawl")
    os.execv(program, [program, *sys.argv[1:]])


if __name__ == "__main__":
    main()
