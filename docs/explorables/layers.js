/** Places a graph without cycles in layers: every edge leads down, and few of them cross. */

const SWEEPS = 8;

/**
 * Positions as near to the wished ones as they can be where each is at least `gaps[n]` right of the one before: places
 * that are too close move as one.
 */
function apart(wished, gaps) {
  const blocks = [];
  let offset = 0;
  for (const [n, wish] of wished.entries()) {
    offset += n ? gaps[n] : 0;
    let block = { sum: wish - offset, size: 1 };
    while (blocks.length && blocks.at(-1).sum / blocks.at(-1).size > block.sum / block.size) {
      const { sum, size } = blocks.pop();
      block = { sum: sum + block.sum, size: size + block.size };
    }
    blocks.push(block);
  }
  offset = 0;
  return blocks.flatMap(({ sum, size }) => Array(size).fill(sum / size)).map((x, n) => x + (offset += n ? gaps[n] : 0));
}

const mean = (numbers) => numbers.reduce((sum, n) => sum + n, 0) / numbers.length;

/**
 * Items are `{width, ends}`, where `ends` are the numbers of the items below; the first one is the root. Returns each
 * item's `{x, layer}`, and of every edge the places `{x, layer}` between its ends, `between[item][edge]`.
 */
export function inLayers(items, gap) {
  const layer = items.map(() => 0);
  const deepen = (n) => {
    for (const end of items[n].ends) {
      if (layer[end] > layer[n]) continue;
      layer[end] = layer[n] + 1;
      deepen(end);
    }
  };
  deepen(0);

  // An edge over several layers passes a place of its own in each.
  const places = items.map(({ width }, n) => ({ width, layer: layer[n], up: [], down: [], x: 0 }));
  const connect = (from, to) => {
    from.down.push(to);
    to.up.push(from);
  };
  const between = items.map(({ ends }, n) =>
    ends.map((end) => {
      const passed = Array.from({ length: layer[end] - layer[n] - 1 }, (_, i) => {
        return { width: 0, layer: layer[n] + 1 + i, up: [], down: [], x: 0 };
      });
      const way = [places[n], ...passed, places[end]];
      for (const [i, place] of way.slice(1).entries()) connect(way[i], place);
      return passed;
    }),
  );
  const layers = [];
  const visit = (place) => {
    const row = (layers[place.layer] ??= []);
    if (row.includes(place)) return;
    row.push(place);
    place.down.forEach(visit);
  };
  visit(places[0]);

  const spread = (row) => {
    const wished = row.map(({ x }) => x);
    const gaps = row.map(({ width }, n) => (n ? (row[n - 1].width + width) / 2 + gap : 0));
    for (const [n, x] of apart(wished, gaps).entries()) row[n].x = x;
  };
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const isDown = sweep % 2 === 0;
    for (const row of isDown ? layers : [...layers].reverse()) {
      for (const place of row) {
        const neighbours = isDown ? place.up : place.down;
        if (neighbours.length) place.x = mean(neighbours.map(({ x }) => x));
      }
      if (sweep < SWEEPS - 2) row.sort((one, other) => one.x - other.x);
      spread(row);
    }
  }
  return { places, between };
}
