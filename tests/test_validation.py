"""What a TrainingProblem accepts, what it refuses and what it says then; the checks shared by every room."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest

from convexnet._validation import (
    as_matrix,
    as_sample_weight,
    as_targets,
    check_choice,
    check_count,
    check_flag,
    check_positive,
    require,
)
from convexnet.errors import ConvexNetError, DataError, LabelsMappedWarning, MissingExtraError, ProblemError
from convexnet.losses import HuberLoss
from convexnet.problem import TrainingProblem

X3 = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.0]])
Y3 = np.array([1.0, -1.0, 0.5])


def problem(X=X3, y=Y3, **options):
    return TrainingProblem(X, y, **{"reg": 0.1, **options})


# --- what is accepted --------------------------------------------------------------------------------------------


LAYOUTS = ["list", "fortran", "strided", "backwards", "float32", "longdouble", "objects", "swapped", "unmasked", "rows"]


@pytest.mark.parametrize(
    "convert",
    [
        np.ndarray.tolist,
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: a[::-1][::-1],
        lambda a: a.astype(np.float32),
        lambda a: a.astype(np.longdouble),
        lambda a: a.astype(object),
        lambda a: a.astype(">f8"),
        lambda a: np.ma.masked_array(a),
        lambda a: [list(map(float, np.atleast_1d(row))) for row in a] if a.ndim == 2 else tuple(a),
    ],
    ids=LAYOUTS,
)
def test_every_array_like_of_numbers_is_the_same_problem(convert):
    reference, other = problem(), problem(convert(X3), convert(Y3))
    assert np.array_equal(other.X, reference.X) and np.array_equal(other.y, reference.y)
    assert other.X.dtype == other.y.dtype == np.float64 and other.X.flags.c_contiguous
    assert other.data_hash == reference.data_hash


def test_pandas_integers_booleans_and_read_only_arrays_are_accepted():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X3, columns=["a", "b"], index=[7, 3, 5])
    assert problem(frame, pandas.Series(Y3, index=[1, 2, 3])).data_hash == problem().data_hash
    assert problem(frame, pandas.DataFrame({"y": Y3})).data_hash == problem().data_hash
    mixed = pandas.DataFrame({"a": [1, 2, 3], "b": [True, False, True]})
    assert np.array_equal(problem(mixed).X, [[1, 1], [2, 0], [3, 1]])
    integers = problem(np.arange(6).reshape(3, 2), np.array([True, False, True]))
    assert integers.X.dtype == integers.y.dtype == np.float64
    frozen = X3.copy()
    frozen.setflags(write=False)
    assert problem(frozen).data_hash == problem().data_hash


def test_constant_zero_and_duplicate_columns_are_kept_as_given():
    X = np.column_stack([np.zeros(3), np.full(3, 7.0), X3[:, 0], X3[:, 0]])
    assert np.array_equal(problem(X).X, X)
    assert np.array_equal(problem(X).extended, np.column_stack([X, np.ones(3)]))
    assert problem([[0.0]], [0.0]).n == 1


def test_shapes_and_outputs():
    single = problem()
    assert (single.n, single.d, single.n_outputs, single.scalar) == (3, 2, 1, True)
    column = problem(y=Y3[:, None])
    assert column.y.shape == (3,) and column.data_hash == single.data_hash
    several = problem(y=np.column_stack([Y3, Y3]))
    assert (several.n_outputs, several.scalar) == (2, False)
    assert problem([[1.0, 2.0]], [[1.0, 2.0, 3.0]]).n_outputs == 3  # one sample with three outputs
    classes = problem(y=[0, 2, 1], loss="softmax")
    assert classes.n_outputs == 3 and np.array_equal(classes.y, np.eye(3)[[0, 2, 1]])


# --- what is refused ---------------------------------------------------------------------------------------------

NAN, INF = math.nan, math.inf
BAD_X = {
    "nan": ([[1.0, NAN], [0.0, 1.0], [2.0, 2.0]], r"1 NaN or infinite.*\(0, 1\).*impute"),
    "inf": ([[1.0, INF], [0.0, -INF], [2.0, 2.0]], r"2 NaN or infinite"),
    "none-entry": ([[1.0, None], [0.0, 1.0], [2.0, 2.0]], "NaN"),
    "1-d": ([1.0, 2.0, 3.0], r"2-D.*reshape\(-1, 1\)"),
    "3-d": (np.zeros((3, 2, 2)), r"2-D.*\(3, 2, 2\)"),
    "0-d": (3.0, "2-D"),
    "none": (None, "2-D"),
    "no-samples": (np.zeros((0, 2)), "empty"),
    "no-features": (np.zeros((3, 0)), "empty"),
    "ragged": ([[1.0, 2.0], [3.0], [1.0, 1.0]], "ragged|lengths"),
    "text": ([["a", "b"], ["c", "d"], ["e", "f"]], "encode"),
    "numeric-text": ([["1", "2"], ["3", "4"], ["5", "6"]], "encode"),
    "text-objects": (np.array([[1.0, "2"], [2, 3], [1, 1]], dtype=object), "text.*encode"),
    "bytes": (np.array([[b"1", b"2"]] * 3), "encode"),
    "string": ("abc", "encode"),
    "dict": ({"a": 1}, "numbers"),
    "set": ({1.0, 2.0}, "numbers"),
    "generator": ((i for i in range(3)), "numbers"),
    "complex": (np.ones((3, 2)) * 1j, "complex.*real"),
    "dates": (np.array([["2020-01-01", "2021-01-01"]] * 3, dtype="datetime64[D]"), "dates"),
    "records": (np.zeros((3, 2), dtype=[("a", float)]), "encode"),
    "huge-integer": ([[10**400, 1], [1, 1], [2, 2]], "numbers"),
    "overflowing": ([[1e200, 1], [1, 1], [2, 2]], "1.0e\\+200.*rescale"),
    "masked": (np.ma.masked_array(np.ones((3, 2)), mask=np.eye(3, 2, dtype=bool)), "masked"),
}
BAD_Y = {
    "nan": ([1.0, NAN, 0.0], r"y has 1 NaN.*\(1,\)"),
    "inf": ([1.0, INF, 0.0], "infinite"),
    "longer": (np.zeros(4), r"4 row.*3 sample"),
    "shorter": (np.zeros(2), r"2 row.*3 sample"),
    "empty": ([], "0 row"),
    "row": (np.zeros((1, 3)), r"y\.ravel\(\)"),
    "3-d": (np.zeros((3, 1, 1)), r"\(n,\) or \(n, k\)"),
    "0-d": (1.0, r"\(n,\) or \(n, k\)"),
    "none": (None, r"\(n,\) or \(n, k\)"),
    "no-columns": (np.zeros((3, 0)), "no columns"),
    "text": (["a", "b", "a"], "encode"),
    "objects": (np.array([1.0, "b", 2.0], dtype=object), "encode"),
    "ragged": ([[1.0], [1.0, 2.0], [3.0]], "ragged|lengths"),
    "complex": (np.ones(3) * 1j, "complex"),
    "dates": (np.array(["2020-01-01"] * 3, dtype="datetime64[D]"), "dates"),
    "overflowing": ([1e150, 0.0, 0.0], "rescale"),
}
BAD_WEIGHT = {
    "nan": ([1.0, NAN, 1.0], "NaN"),
    "negative": ([1.0, -1.0, 1.0], "negative"),
    "all-zero": ([0.0, 0.0, 0.0], "zero everywhere"),
    "short": ([1.0, 1.0], r"\(3,\)"),
    "column": ([[1.0], [1.0], [1.0]], r"\(3,\)"),
    "number": (2.0, r"\(3,\)"),
    "text": (["a", "b", "c"], "encode"),
    "huge": ([1.0, 1e200, 1.0], "rescale"),
}


@pytest.mark.parametrize("name", BAD_X)
def test_bad_inputs_are_named(name):
    X, message = BAD_X[name]
    with pytest.raises(DataError, match=message):
        problem(X)


@pytest.mark.parametrize("loss", ["squared", "softmax", "logistic"])
@pytest.mark.parametrize("name", BAD_Y)
def test_bad_targets_are_named(name, loss):
    y, message = BAD_Y[name]
    if loss != "squared" and name == "overflowing":
        message = r"labels|class code"
    with pytest.raises(DataError, match=message):
        problem(y=y, loss=loss)


@pytest.mark.parametrize("name", BAD_WEIGHT)
def test_bad_weights_are_named(name):
    weight, message = BAD_WEIGHT[name]
    with pytest.raises(DataError, match=message):
        problem(sample_weight=weight)


def test_frames_with_gaps_text_or_dates_are_refused():
    pandas = pytest.importorskip("pandas")
    column = {"gap": [1.0, None, 2.0], "text": ["u", "v", "w"], "date": pandas.date_range("2020", periods=3)}
    for values in column.values():
        with pytest.raises(DataError, match=r"impute|encode"):
            problem(pandas.DataFrame({"a": [1.0, 2.0, 3.0], "b": values}))
    nullable = pandas.DataFrame({"a": pandas.array([1, None, 2], dtype="Int64")})
    with pytest.raises(DataError, match="X"):
        problem(nullable)


def test_sparse_matrices_are_refused_with_the_way_out():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(DataError, match=r"X\.toarray\(\)"):
        problem(sparse.csr_matrix(X3))


@pytest.mark.parametrize("reg", [0, 0.0, -1.0, NAN, INF, "0.1", True, [0.1], np.array([0.1, 0.2]), 1j, 10**400])
@pytest.mark.parametrize("loss", ["squared", "interpolation"])
def test_reg_must_be_a_positive_number(reg, loss):
    with pytest.raises(ProblemError, match="reg must be"):
        problem(reg=reg, loss=loss)


def test_reg_is_required_except_for_interpolation():
    with pytest.raises(ProblemError, match=r"reg is required.*reg_max"):
        TrainingProblem(X3, Y3)
    assert TrainingProblem(X3, Y3, loss="interpolation").reg == 1.0
    assert TrainingProblem(X3, Y3, loss="interpolation", reg=1).reg == 1.0
    with pytest.raises(ProblemError, match="leave reg out"):
        TrainingProblem(X3, Y3, loss="interpolation", reg=0.5)
    for reg in (1, np.float32(0.5), np.int64(2)):
        assert isinstance(problem(reg=reg).reg, float)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "mse"}, "Unknown loss"),
        ({"loss": None}, "Unknown loss"),
        ({"activation": "tanh"}, "activation must be one of"),
        ({"activation": None}, "activation must be one of"),
        ({"activation": "leaky", "negative_slope": 0.0}, "negative_slope"),
        ({"activation": "leaky", "negative_slope": 1.0}, "negative_slope"),
        ({"activation": "leaky", "negative_slope": NAN}, "negative_slope"),
        ({"negative_slope": "x"}, "negative_slope"),
        ({"negative_slope": None}, "negative_slope"),
        ({"bias": "output"}, "bias must be one of"),
        ({"bias": True}, "bias must be one of"),
        ({"norm": "l3"}, "norm must be one of"),
        ({"norm": 2}, "norm must be one of"),
        ({"skip": 1}, "skip must be True or False"),
        ({"skip": "no"}, "skip must be True or False"),
        ({"intercept": 1}, "intercept must be True or False"),
        ({"intercept": 0.0}, "intercept must be True or False"),
        ({"bias": "free", "intercept": False}, "bias='free'"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ProblemError, match=message):
        problem(**options)


def test_options_and_defaults():
    plain = problem()
    assert plain.loss.name == "squared" and plain.activation == "relu" and plain.kappa == 0.0 and plain.norm == "l2"
    assert plain.bias == "penalized" and plain.intercept is False and plain.skip is False
    assert plain.sample_weight is None
    assert problem(activation="leaky", negative_slope=0.3).kappa == 0.3
    assert problem(activation="absolute").kappa == -1.0
    assert problem(bias="free").intercept is True and problem(bias="free", intercept=True).intercept is True
    assert problem(bias="none", intercept=True).intercept is True
    assert problem(loss=HuberLoss(2.0)).loss.delta == 2.0


def test_label_warnings_point_at_the_caller():
    with pytest.warns(LabelsMappedWarning) as caught:
        mapped = problem(y=[0, 1, 1], loss="logistic")
    assert caught[0].filename == __file__ and np.array_equal(mapped.y, [-1.0, 1.0, 1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mapped.with_options(reg=1.0)


# --- the checks themselves ---------------------------------------------------------------------------------------


def test_checked_arrays_are_read_only_copies():
    X, y, weight = X3.copy(), Y3.copy(), np.ones(3)
    for given, checked in ((X, as_matrix(X)), (y, as_targets(y, 3)), (weight, as_sample_weight(weight, 3))):
        assert checked.dtype == np.float64 and not checked.flags.writeable
        assert not np.shares_memory(given, checked) and np.array_equal(given, checked)
    assert as_targets(Y3[:, None], 3).shape == (3,) and as_sample_weight(None, 3) is None
    with pytest.raises(DataError, match="the_data"):
        as_matrix([1.0], "the_data")


@pytest.mark.parametrize("value", [1, 0.5, np.float32(2.0), np.int64(3), Fraction(1, 3)])
def test_check_positive_returns_a_float(value):
    assert check_positive(value, "step") == float(value)
    assert type(check_positive(value, "step")) is float


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, True, "1", None, [1.0], np.ones(1), 1j, 10**400])
def test_check_positive_refuses(value):
    with pytest.raises(ProblemError, match="step must be"):
        check_positive(value, "step")


def test_check_positive_with_zero():
    assert check_positive(0, "tol", allow_zero=True) == 0.0
    with pytest.raises(ProblemError, match=">= 0"):
        check_positive(-1e-300, "tol", allow_zero=True)


@pytest.mark.parametrize("value", [0, -3, 1.0, True, "2", None, math.nan])
def test_check_count_refuses(value):
    assert check_count(np.int32(2), "width") == 2 and check_count(0, "width", minimum=0) == 0
    with pytest.raises(ProblemError, match="width must be an integer >= 1"):
        check_count(value, "width")


def test_check_choice_and_flag():
    assert check_choice("a", "option", ["a", "b"]) == "a" and check_flag(np.bool_(True), "flag") is True
    for value in ("c", "A", None, 1, ["a"], {}):
        with pytest.raises(ProblemError, match="option must be one of 'a', 'b'"):
            check_choice(value, "option", ["a", "b"])
    for value in (1, 0, "True", None):
        with pytest.raises(ProblemError, match="flag must be True or False"):
            check_flag(value, "flag")


def test_require_names_the_extra():
    assert require("math", "none") is math
    with pytest.raises(MissingExtraError, match=r"absent_package.*convexnet\[plot\]") as caught:
        require("absent_package.submodule", "plot")
    assert isinstance(caught.value, ImportError) and isinstance(caught.value, ConvexNetError)


def test_tensors_that_need_gradients_are_refused_by_name():
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    with pytest.raises(DataError, match="requires grad"):
        as_matrix(Tensor())
