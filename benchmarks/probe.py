"""The linear probe's solver against scikit-learn's LogisticRegression: same features, same L2, taking turns in one run.

    python benchmarks/probe.py [--rounds 3]

10,000 x 512 features of `digits`: random 5x5 filters, ReLU, means over quarters of the picture, standardised. scikit-learn
runs with its defaults (lbfgs, 100 iterations at most); it minimises C * sum of losses + |w|^2 / 2, so C = 1 / (n penalty).
"""

import argparse
import os
import statistics
import time
import warnings

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):       # some machines set them: they slow numpy's newest kernels
    os.environ.pop(name, None)

import threadpoolctl
import torch
import torch.nn.functional as F
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

import sslab
from sslab.evaluation import fit_logistic
from sslab.training import limit_threads

PENALTIES = (1e-4, 1e-3, 1e-2)


def random_features(images: torch.Tensor) -> torch.Tensor:
    """uint8 [n, 1, 28, 28] -> [n, 512]: 128 random filters, the mean response in each quarter."""
    filters = torch.randn(128, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    filters = filters - filters.mean((2, 3), keepdim=True)
    responses = (F.relu(F.conv2d(chunk.float() / 255, filters, stride=2)) for chunk in images.split(1000))
    return torch.cat([F.adaptive_avg_pool2d(response, 2).flatten(1) for response in responses])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    limit_threads()
    data = sslab.load("digits")
    x, y = random_features(data.train.images[:10_000]), data.train.labels[:10_000]
    test_x, test_y = random_features(data.test.images), data.test.labels
    mean, std = x.mean(0), x.std(0)
    x, test_x = (x - mean) / std, (test_x - mean) / std
    kernels = {pool["internal_api"]: pool.get("architecture") for pool in threadpoolctl.threadpool_info()}
    print(f"{list(x.shape)} features, {len(test_x)} test images, {torch.get_num_threads()} threads, {kernels}")
    fit_logistic(x[:1000], y[:1000], [1.0], 10)                                 # warm up both
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        LogisticRegression(max_iter=5).fit(x[:1000].numpy(), y[:1000].numpy())
    for penalty in PENALTIES:
        ours, theirs = [], []
        for _ in range(options.rounds):
            start = time.perf_counter()
            weights, biases = fit_logistic(x, y, [penalty], 10)
            ours.append(time.perf_counter() - start)
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model = LogisticRegression(C=1 / (len(x) * penalty)).fit(x.numpy(), y.numpy())
            theirs.append(time.perf_counter() - start)
        accuracy = ((test_x @ weights[0] + biases[0]).argmax(1) == test_y).float().mean().item()
        their_accuracy = model.score(test_x.numpy(), test_y.numpy())
        mine, other = statistics.median(ours), statistics.median(theirs)
        print(f"penalty {penalty:g}: ours {mine:.3f} s, test accuracy {accuracy:.2%}; scikit-learn {other:.2f} s "
              f"({model.n_iter_[0]} iterations), {their_accuracy:.2%}; {other / mine:.1f} times as fast, "
              f"difference {100 * (accuracy - their_accuracy):+.2f} points", flush=True)


if __name__ == "__main__":
    main()
