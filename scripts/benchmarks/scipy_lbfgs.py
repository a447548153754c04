"""SciPy's L-BFGS-B as the benchmarks run it."""

from collections.abc import Callable
from typing import Any

import numpy as np


def minimize(
    value_and_grad: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    *,
    evaluations: int,
    history: int,
) -> Any:
    """SciPy's result from an image (H, W, 3), within [0, 1]; ends after so many evaluations."""
    from scipy import optimize

    return optimize.minimize(
        value_and_grad,
        start.ravel().astype(np.float64),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * start.size,
        options={
            "maxcor": history,
            "maxfun": evaluations,
            "maxiter": 10**6,
            "ftol": 0.0,
            "gtol": 0.0,
        },
    )
