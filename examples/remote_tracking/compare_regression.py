"""One run of an experiment that is made to be repeated with other values.

    python compare_regression.py --alpha 1 --l1-ratio 0.5 --intercept true --max-iter 100

Each call is one run of the experiment `regression`. In the UI, choose some of its runs and press
Compare. l1-ratio 0 is ridge regression, 1 is lasso, what lies between mixes both.
"""

import argparse
import warnings

import mlflow
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import train_test_split

EXPERIMENT = "regression"


def main() -> None:
    """Train with the values of the command line, log values and scores, and rank the run."""
    given = arguments()
    data = load_diabetes()
    x_train, x_test, y_train, y_test = train_test_split(data.data, data.target, random_state=0)
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name=f"l1-ratio {given.l1_ratio:g}"):
        mlflow.log_params(vars(given))
        model = ElasticNet(
            alpha=given.alpha,
            l1_ratio=given.l1_ratio,
            fit_intercept=given.intercept,
            max_iter=given.max_iter,
        )
        with warnings.catch_warnings():
            # Ridge by coordinate descent does not converge here; the score says what it is worth.
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", message="With alpha=0|Coordinate descent")
            model.fit(x_train, y_train)
        found = model.predict(x_test)
        scores = {
            "rmse": root_mean_squared_error(y_test, found),
            "mae": mean_absolute_error(y_test, found),
            "r2": r2_score(y_test, found),
        }
        mlflow.log_metrics(scores)
    print("This run: " + ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))

    best = mlflow.search_runs(
        experiment_names=[EXPERIMENT],
        order_by=["metrics.rmse"],
        max_results=3,
        output_format="list",
    )
    print("Best of this experiment so far:")
    for run in best:
        values = ", ".join(f"{name}={value}" for name, value in sorted(run.data.params.items()))
        print(f"  rmse {run.data.metrics['rmse']:.3f}  {values}")


def arguments() -> argparse.Namespace:
    """The values of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--alpha", type=float, default=1.0, help="strength of the penalty")
    parser.add_argument("--l1-ratio", type=share, default=0.5, help="0: ridge, 1: lasso")
    parser.add_argument(
        "--intercept", type=truth, default=True, help="fit an intercept: true/false"
    )
    parser.add_argument("--max-iter", type=int, default=1000, help="steps at most")
    return parser.parse_args()


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def truth(text: str) -> bool:
    """`true` or `false`."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text} is neither true nor false")
    return text.lower() == "true"


if __name__ == "__main__":
    main()
