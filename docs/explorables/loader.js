/** What a `DataLoader` does: which process loads which items, and the batches that it hands out, in their order. */

import { MersenneTwister } from "./mt19937.js";
import { TorchError } from "./torch-error.js";

const range = (start, end, step = 1) =>
  Array.from({ length: Math.max(0, Math.ceil((end - start) / step)) }, (_, i) => start + i * step);

/** The items of the nth of several workers, for each way to write a dataset with `__iter__`. */
export const SHARES = {
  whole: (n) => range(0, n),
  strided: (n, worker, workers) => range(worker, n, workers),
  chunked: (n, worker, workers) => {
    const size = Math.ceil(n / workers);
    return range(worker * size, Math.min((worker + 1) * size, n));
  },
};

/** `torch.randperm(n, generator=generator)` */
function randperm(n, generator) {
  const order = range(0, n);
  for (let i = 0; i < n - 1; i++) {
    const j = i + (generator.random() % (n - i));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** The orders of the epochs of a loader with a generator, without end. */
function* shuffled(n, seed) {
  const generator = new MersenneTwister(seed);
  for (;;) {
    // The seed of the workers is drawn first, even where there are none: 64 bits.
    generator.random();
    generator.random();
    yield randperm(n, generator);
    // The sampler draws an order more than it needs, to take none of it.
    randperm(n, generator);
  }
}

/** Items in batches, and what `drop_last` leaves over. Without a batch size each item comes alone. */
function batched(items, { batchSize, dropLast }) {
  const size = batchSize ?? 1;
  const batches = range(0, items.length, size).map((start) => items.slice(start, start + size));
  const left = dropLast && batches.length && batches.at(-1).length < size ? batches.pop() : [];
  return { batches, left };
}

/** A map-style dataset: the main process makes the batches of indices, and deals them out to the workers in turn. */
function deal(order, settings) {
  const { batches } = batched(order, settings);
  return { batches: batches.map((items, n) => ({ items, worker: n % (settings.workers || 1) })), dropped: [] };
}

/** A dataset with `__iter__`: each worker makes batches of its own, and who has one left hands it out in turn. */
function merge(settings) {
  const count = settings.workers || 1;
  const share = SHARES[settings.dataset];
  const streams = range(0, count).map((worker) => batched(share(settings.n, worker, count), settings));
  const turns = range(0, Math.max(...streams.map(({ batches }) => batches.length)));
  const batches = turns.flatMap((turn) =>
    streams.map(({ batches }, worker) => ({ items: batches[turn], worker })).filter(({ items }) => items),
  );
  return { batches, dropped: streams.map(({ left }) => left) };
}

/** Throws what torch raises for settings that it refuses. */
function check({ dataset, batchSize, shuffle, dropLast }) {
  const refuse = (message) => {
    throw new TorchError("ValueError", message);
  };
  if (shuffle && dataset !== "map")
    refuse("DataLoader with IterableDataset: expected unspecified shuffle option, but got shuffle=True");
  if (batchSize === null && dropLast)
    refuse("batch_size=None option disables auto-batching and is mutually exclusive with drop_last");
  if (batchSize !== null && batchSize <= 0)
    refuse(`batch_size should be a positive integer value, but got batch_size=${batchSize}`);
}

/**
 * The first epochs of a loader, and its `len`. `dataset` is `map` or one of `SHARES`, and `batchSize` may be null.
 *
 * An epoch has the `batches` as they are handed out, each with its `items` and its `worker`, and what each worker has
 * `dropped` after it had loaded it. Throws a `TorchError` for what torch refuses.
 */
export function load(settings, epochs) {
  check(settings);
  const { dataset, n, batchSize, shuffle, seed, dropLast } = settings;
  const orders = shuffle && shuffled(n, seed);
  const one = () => (dataset === "map" ? deal(orders ? orders.next().value : range(0, n), settings) : merge(settings));
  const share = n / (batchSize ?? 1);
  return { epochs: range(0, epochs).map(one), length: dropLast ? Math.floor(share) : Math.ceil(share) };
}
