"""numba, which compiles the hot loops: `from transforms.compiled import numba`.

Loading a compiled loop brings in what numba knows of linear algebra, and that scipy's, a tenth of
a second for nothing: no loop here multiplies matrices, and where scipy is hidden none could.
"""

from transforms.lean import without

with without("scipy"):
    import numba
    import numba.np.arraymath

__all__ = ["numba"]
