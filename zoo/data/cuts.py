"""Where an epoch is cut into batches. No torch, so that plans can count steps.

The global batch ``b`` is a slice of the epoch's order; of it, process ``r`` of ``world`` takes
``[r::world]``. So the same images meet in a step whatever the number of processes, as long as
``batch_size * world`` is the same (and the last batch is large enough for all of them); nothing
is padded or seen twice.
"""

from __future__ import annotations

from zoo.errors import DataError

Cut = tuple[int, int]


def cuts(
    count: int,
    batch_size: int,
    *,
    world: int = 1,
    train: bool = True,
    drop_last: bool = False,
    least: int = 0,
) -> list[Cut]:
    """Cut an epoch into global batches.

    In training, a last batch of fewer than two images a process joins the one before: batch norm
    cannot work with one, and no process may be left without any. A run that goes on with another
    number of processes keeps its own limit (``least``), so that its steps stay the same.

    Args:
        count: Number of images.
        batch_size: Images per process and batch.
        world: Number of processes.
        train: Whether this is for training.
        drop_last: Leave out the last batch if it is smaller than the others.
        least: Fewest images of a last batch in training; 0 = two a process.

    Returns:
        ``(start, stop)`` of each global batch in the epoch's order.

    Raises:
        DataError: Not one batch comes out.
    """
    whole = batch_size * world
    starts = range(0, count, whole)
    found = [(start, min(start + whole, count)) for start in starts]
    tail = count % whole
    if tail and drop_last:
        found.pop()
    elif train and tail and tail < (least or 2 * world) and len(found) > 1:
        found.pop()
        found[-1] = (found[-1][0], count)
    if not found:
        raise DataError(
            f"{count} images do not fill one batch of {whole}, and incomplete batches are dropped",
            hint=f"--batch-size {max(1, count // world)} or less",
        )
    if train and found[-1][1] - found[-1][0] < world:
        raise DataError(
            f"{count} training images for {world} processes: some would have none",
            hint="fewer processes, or more images",
        )
    return found


def joined(count: int, batch_size: int, world: int = 1, least: int = 0) -> int:
    """How many images of an incomplete last training batch join the batch before; 0 if none."""
    tail = count % (batch_size * world)
    return tail if tail < (least or 2 * world) and count > batch_size * world else 0
