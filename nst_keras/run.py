"""Make one picture: `python -m nst_keras.run --content=photo.jpg --style=painting.jpg`.

Exit status: 0 finished, 1 the optimization failed, 2 bad input, 74 a file could not be written,
75 interrupted: run the same command again to resume. In Python, `nst_keras.run` is a function.
"""

import sys

from nst_keras.runs.command import main

if __name__ == "__main__":
    sys.exit(main())
