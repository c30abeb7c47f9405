"""Look at every state that a small fleet can get into.

python -m tests.model
python -m tests.model --pods 3 --participants 4 --capacity 2
"""

from __future__ import annotations

import time

import click

from tests.model.fleet import Model
from tests.model.search import search


@click.command()
@click.option("--pods", type=click.IntRange(1, 8), default=4, show_default=True)
@click.option("--open", "open_pods", type=click.IntRange(1, 8), help="maxReplicas; default: PODS.")
@click.option("--participants", type=click.IntRange(0, 20), default=6, show_default=True)
@click.option(
    "--capacity", type=click.IntRange(1, 20), default=4, show_default=True, help="Of one pod."
)
@click.option("--window", type=click.IntRange(1, 5), default=1, show_default=True, help="In ticks.")
@click.option(
    "--wakes/--ticks-only",
    default=True,
    show_default=True,
    help="Whether the operator also looks as soon as something happens to a pod.",
)
def main(
    *,
    pods: int,
    open_pods: int | None,
    participants: int,
    capacity: int,
    window: int,
    wakes: bool,
) -> None:
    """Search to closure and print how many states there are."""
    begun = time.monotonic()
    model = Model(
        max_replicas=min(open_pods or pods, pods),
        max_total=pods,
        participants=participants,
        capacity=capacity,
        window=window,
        wakes=wakes,
    )
    found = search(model)
    click.echo(
        f"{found.states} states, {found.transitions} transitions; at rest after "
        f"{found.longest_settling} ticks at most; {time.monotonic() - begun:.0f} s"
    )
    click.echo(f"steps taken: {', '.join(sorted(step.__name__ for step in found.steps))}")


if __name__ == "__main__":
    main()
