"""Child processes that run modules of this package."""

import os
import sys

import nst_keras

# As `python -m MODULE`, but without the working folder on the path: there, a file of the user's
# such as queue.py, or a folder named as this package, would be imported instead.
_PROGRAM = """
import sys
folder, module = sys.argv[1:3]
del sys.argv[1:3]
sys.path[:] = filter(None, sys.path)
if folder not in sys.path:
    sys.path.insert(0, folder)
import runpy
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def command(module: str) -> tuple[str, ...]:
    """The command that runs a module of this very package, wherever its process works."""
    folder = os.path.dirname(os.path.dirname(os.path.abspath(nst_keras.__file__)))
    return (sys.executable, "-c", _PROGRAM, folder, module)
