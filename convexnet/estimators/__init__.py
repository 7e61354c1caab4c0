"""Estimators that follow scikit-learn's conventions: fit, predict, score, clone, pipelines, searches."""

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from ._spline_fit import SplineFit
    from ._spline_path import SplinePath, spline_path
    from .spline import SparseLinearSpline
    from .spline_cv import SparseLinearSplineCV

__all__ = ["SparseLinearSpline", "SparseLinearSplineCV", "SplineFit", "SplinePath", "spline_path"]

_MODULES = {
    "SparseLinearSpline": "spline", "SparseLinearSplineCV": "spline_cv",
    "SplineFit": "_spline_fit", "SplinePath": "_spline_path", "spline_path": "_spline_path",
}  # fmt: skip

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"{__name__}.{module}" for name, module in _MODULES.items()})
