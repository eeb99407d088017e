/** Where the points of a curve lie in a chart, from 0 to 1, and which numbers stand on its axis. */

const STEPS = [1, 2, 5];

/** A logarithmic axis around some numbers: `place` puts one between 0 and 1, `ticks` are round numbers on it. */
export function logarithmic(numbers) {
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)].map(Math.log10);
  const margin = 0.06 * Math.max(high - low, 0.3);
  const [from, to] = [low - margin, high + margin];
  const decades = Array.from({ length: Math.ceil(to) - Math.floor(from) + 1 }, (_, n) => Math.floor(from) + n);
  const fine = to - from < 2.5 ? STEPS : [1];
  const apart = Math.ceil((to - from) / 5);
  const ticks = decades
    .filter((decade) => decade % apart === 0)
    .flatMap((decade) => fine.map((step) => Number(`${step}e${decade}`)));
  const place = (number) => (Math.log10(number) - from) / (to - from);
  return { place, ticks: ticks.filter((tick) => place(tick) >= 0 && place(tick) <= 1) };
}

/** An axis for shares. */
export const SHARES = { place: (share) => 0.03 + 0.94 * share, ticks: [0, 0.25, 0.5, 0.75, 1] };

/** A path through the points of a curve, in a box of a width and a height. */
export function path(curve, { place }, width, height) {
  const points = curve.map((number, n) => [(width * n) / Math.max(curve.length - 1, 1), height * (1 - place(number))]);
  return `M${points.map((point) => point.map((n) => n.toFixed(1)).join(" ")).join("L")}`;
}
