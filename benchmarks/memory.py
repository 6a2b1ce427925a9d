"""How much memory InfoNCE takes: the dense loss, whose similarities are all in memory, and the chunked one.

    python benchmarks/memory.py                              # 4,096 to 16,384 pairs; on a CPU with 16 GB
    python benchmarks/memory.py --batches 4096 65536         # dense at 65,536 needs 70 GB: it is left out where there is less
    python benchmarks/memory.py --device cuda --rounds 5     # on a GPU, by torch's own count

Each measurement is a process of its own: forward and backward pass of a loss on random projections of width 128, the
peak of its memory less what it held before, and the median time of a pass.
"""

import argparse
import json
import os
import subprocess
import sys
import time

os.environ.setdefault("GOMP_SPINCOUNT", "2000")          # see benchmarks/README.md

WIDTH = 128
LOSSES = ("clip", "nt_xent")
NEEDS = 16                                               # bytes a number of the matrix, dense: some four copies of float32


def measure(loss: str, way: str, batch: int, device: str, rounds: int) -> dict[str, float]:
    """Peak bytes above the start, and seconds a pass, in this process."""
    import resource

    import torch

    from sslab.objectives import chunked, clip, nt_xent
    from sslab.training import limit_threads

    limit_threads()
    chunked.CHUNK_ABOVE = 0 if way == "chunked" else 2**31
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(batch, WIDTH, generator=generator).to(device).requires_grad_() for _ in range(2))

    def one_pass(x, y) -> float:
        start = time.perf_counter()
        total = clip(x, y, 14.0) if loss == "clip" else nt_xent(x, y, 0.5)
        total.backward()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    one_pass(a[:64].detach().requires_grad_(), b[:64].detach().requires_grad_())             # libraries are loaded
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    seconds = sorted(one_pass(a, b) for _ in range(rounds))[rounds // 2]
    after = torch.cuda.max_memory_allocated() if device == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"bytes": after - before, "seconds": seconds}


def in_a_process(*words: str) -> dict[str, float] | str:
    """The measurement in a fresh process, or in words why there is none."""
    run = subprocess.run([sys.executable, __file__, "--one", *words], check=False, capture_output=True, text=True)
    if run.returncode:
        return "out of memory" if "memory" in run.stderr or run.returncode < 0 else run.stderr.strip().split("\n")[-1]
    return json.loads(run.stdout)


def available(device: str) -> int:
    """Bytes that a measurement may take."""
    if device == "cuda":
        import torch

        return torch.cuda.mem_get_info()[0]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[4096, 8192, 16_384])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=3, metavar=("LOSS", "WAY", "BATCH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        loss, way, batch = options.one
        print(json.dumps(measure(loss, way, int(batch), options.device, options.rounds)))
        return
    print(f"width {WIDTH}, float32, forward and backward, median of {options.rounds}, {options.device}")
    print("loss       batch   dense MB   chunked MB   bytes a pair   dense s   chunked s   times as long")
    for loss in LOSSES:
        for batch in options.batches:
            rows = batch if loss == "clip" else 2 * batch            # of the matrix
            found = {}
            for way in ("dense", "chunked"):
                fits = way == "chunked" or NEEDS * rows**2 < available(options.device)
                words = (loss, way, str(batch), "--device", options.device, "--rounds", str(options.rounds))
                found[way] = in_a_process(*words) if fits else "left out"
            print(line(loss, batch, **found))


def line(loss: str, batch: int, dense: dict | str, chunked: dict | str) -> str:
    """A row of the table; what could not be measured says why."""
    dense_mb, dense_s = (dense, "") if isinstance(dense, str) else (f"{dense['bytes'] / 1e6:.0f}", f"{dense['seconds']:.3f}")
    if isinstance(chunked, str):
        return f"{loss:8} {batch:7} {dense_mb:>10} {chunked:>12}"
    ratio = "" if isinstance(dense, str) else f"{chunked['seconds'] / dense['seconds']:.2f}"
    return (f"{loss:8} {batch:7} {dense_mb:>10} {chunked['bytes'] / 1e6:12.0f} {chunked['bytes'] / batch:14.0f} "
            f"{dense_s:>9} {chunked['seconds']:11.3f} {ratio:>15}")


if __name__ == "__main__":
    main()
