"""What the scripts of this folder run, in as many processes as torchrun starts; also in one: python deploy/train.py.

Started again after a kill, or with another number of processes, it goes on from its checkpoint.
"""

import argparse
import time

import sslab
from sslab.training import distributed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objective", default="simclr")
    parser.add_argument("--data", default="digits", help="a dataset's name, or folder:PATH")
    parser.add_argument("--encoder", help="conv, resnet18 or vit; the one that the objective needs, or conv, if not given")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=512, help="of all processes together")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", help="a file that all machines reach, or at least the first one")
    asked = parser.parse_args()

    data = sslab.load(asked.data)
    name, options = asked.objective, {}
    if name in sslab.objectives.names("images"):
        options["views"] = sslab.objectives.views_for(name, asked.data)
    if name in sslab.objectives.names("pairs"):
        options |= {"views": sslab.objectives.views_for(name, asked.data), "text": sslab.objectives.text_tower_for(data)}
    if name == "supervised":
        options["classes"] = data.num_classes
    objective = sslab.objectives.create(name, sslab.objectives.encoder_for(name, data, asked.encoder), **options)

    said = 0.0
    for step in sslab.train(objective, data, steps=asked.steps, batch_size=asked.batch_size, seed=asked.seed,
                            learning_rate=asked.learning_rate, checkpoint=asked.checkpoint, resume=True):
        last = step.index + 1 == step.total
        if distributed.first() and (last or time.monotonic() - said > 10):
            said = time.monotonic()
            print(f"step {step.index + 1} of {step.total}: loss {float(step.loss):.4f}, {step.views_per_second:,.0f} views/s, "
                  f"{step.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
