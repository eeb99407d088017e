/** What steps make of a photo in some order, looked up in what torchvision made of it in all orders. */

/** A state of the record in words, with how many percent of its values a picture of it cannot show. */
export function stateOf(record, n) {
  const [look, low, high, mean, outside, picture] = record.states[n];
  const [type, shape, dtype] = record.looks[look];
  return { type, shape, dtype, low, high, mean, outside, picture: record.pictures[picture] };
}

/**
 * What each step of an order, given by their numbers, does: the number of the state it leads to and whether that is
 * the one before, or the error that it raises. Steps behind an error do not run, and nothing is said of them.
 */
export function follow({ states, errors }, order) {
  let at = 0;
  return order.map((step) => {
    if (at === undefined) return {};
    const before = at;
    const after = states[before].at(-1)[step];
    at = after < 0 ? undefined : after;
    return after < 0 ? { error: errors[-1 - after] } : { at, unchanged: at === before };
  });
}
