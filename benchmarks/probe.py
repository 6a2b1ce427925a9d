"""The linear probe's solver against scikit-learn's LogisticRegression: same features, same L2, taking turns.

    python benchmarks/probe.py [--rounds 3] [--tolerance 1e-4]

10,000 x 512 features of `digits`: random 5x5 filters, ReLU, means over quarters of the picture, standardised.
scikit-learn runs with its defaults (lbfgs, at most 100 iterations); it minimises C * sum of losses
+ |w|^2 / 2, so C = 1 / (n penalty). The last line is what a probe does: all penalties, among which it then chooses.
"""

import argparse
import os
import statistics
import time
import warnings

os.environ.setdefault("GOMP_SPINCOUNT", "2000")          # see benchmarks/README.md
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):       # they slow a current numpy
    os.environ.pop(name, None)

import threadpoolctl
import torch
import torch.nn.functional as F
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

import sslab
from sslab.evaluation import fit_logistic
from sslab.training import limit_threads

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)


def random_features(images: torch.Tensor) -> torch.Tensor:
    """uint8 [n, 1, 28, 28] -> [n, 512]: 128 random filters, the mean response in each quarter."""
    filters = torch.randn(128, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    filters = filters - filters.mean((2, 3), keepdim=True)
    responses = (F.relu(F.conv2d(chunk.float() / 255, filters, stride=2)) for chunk in images.split(1000))
    return torch.cat([F.adaptive_avg_pool2d(response, 2).flatten(1) for response in responses])


def scikit_learn(x: torch.Tensor, y: torch.Tensor, penalty: float) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=1 / (len(x) * penalty)).fit(x.numpy(), y.numpy())


def clock(work, *args, **options) -> tuple[float, object]:
    """Seconds, and what came out."""
    start = time.perf_counter()
    result = work(*args, **options)
    return time.perf_counter() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tolerance", type=float, help="of fit_logistic; its default if not given")
    options = parser.parse_args()
    tolerance = {} if options.tolerance is None else {"tolerance": options.tolerance}
    limit_threads()
    data = sslab.load("digits")
    x, y = random_features(data.train.images[:10_000]), data.train.labels[:10_000]
    test_x, test_y = random_features(data.test.images), data.test.labels
    mean, std = x.mean(0), x.std(0)
    x, test_x = (x - mean) / std, (test_x - mean) / std
    kernels = [pool["architecture"] for pool in threadpoolctl.threadpool_info() if "architecture" in pool]
    print(f"{list(x.shape)} features, {len(test_x)} test images, {torch.get_num_threads()} threads, "
          f"numpy's kernels: {kernels}")
    fit_logistic(x[:1000], y[:1000], [1.0], 10)
    scikit_learn(x[:1000], y[:1000], 1.0)                    # both are warm now
    total = 0.0
    for penalty in PENALTIES:
        ours, theirs = [], []
        for _ in range(options.rounds):
            seconds, (weights, biases) = clock(fit_logistic, x, y, [penalty], 10, **tolerance)
            ours.append(seconds)
            seconds, model = clock(scikit_learn, x, y, penalty)
            theirs.append(seconds)
        accuracy = ((test_x @ weights[0] + biases[0]).argmax(1) == test_y).float().mean().item()
        reference = model.score(test_x.numpy(), test_y.numpy())
        mine, other = statistics.median(ours), statistics.median(theirs)
        total += other
        print(f"penalty {penalty:g}: ours {mine:.3f} s, test accuracy {accuracy:.2%}; "
              f"scikit-learn {other:.2f} s ({model.n_iter_[0]} iterations), {reference:.2%}: "
              f"{other / mine:.1f} times as fast, "
              f"{100 * (accuracy - reference):+.2f} points", flush=True)
    at_once = [clock(fit_logistic, x, y, PENALTIES, 10, **tolerance)[0] for _ in range(options.rounds)]
    every = statistics.median(at_once)
    print(f"all {len(PENALTIES)}: ours {every:.3f} s, scikit-learn {total:.2f} s: "
          f"{total / every:.1f} times as fast")


if __name__ == "__main__":
    main()
