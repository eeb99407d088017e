/** Recorded runs as exhibits: what their curves are, what they say in words, and which clues there are. */

/** The curves of each chart: what is measured on the pictures to train on, and on those to test with. */
export const CURVES = { loss: ["train_loss", "test_loss"], right: ["train_right", "test_right"] };

/** The runs of a bug. A curve that is as in the healthy run of the same seed is not written out in the record. */
export function runsOf({ bugs }, name) {
  const fill = (run, n) => Object.entries(run).map(([key, value]) => [key, value ?? bugs.healthy.runs[n][key]]);
  return bugs[name].runs.map((run, n) => Object.fromEntries(fill(run, n)));
}

/** The lines of the loop that do something, each with its number in the record. */
export function listing(loop) {
  return loop.map((text, n) => ({ text, n })).filter(({ text }) => !text.trim().startsWith('"""'));
}

/** Three digits of a number: 0.0996, 2.33, 163000 is 1.6e5. */
export function brief(number) {
  if (number >= 10000) return number.toExponential(1).replace("+", "");
  return String(Number(number.toPrecision(3)));
}

/** The lowest and the highest of some numbers, or the only one. */
export function spread(numbers) {
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)].map(brief);
  return low === high ? low : `${low} to ${high}`;
}

/** A share in percent. */
export const percent = (share) => `${Number((100 * share).toPrecision(3))} %`;

const NAMES = {
  train_loss: "Training loss",
  test_loss: "Test loss",
  train_right: "Right in training",
  test_right: "Right in the test",
};

/** What a chart shows, in words: where each of its curves begins and ends, and how far it goes in between. */
export function describe(runs, healthy, kind) {
  return CURVES[kind]
    .map((curve) => {
      const at = (n) => spread(runs.map((run) => run[curve].at(n)));
      const all = runs.flatMap((run) => run[curve]);
      const ends = healthy.map((run) => run[curve].at(-1));
      const between = `over all epochs from ${brief(Math.min(...all))} to ${brief(Math.max(...all))}`;
      return `${NAMES[curve]}: ${at(0)} in the first epoch, ${at(-1)} in the last, ${between}; without a bug ${spread(ends)} in the last.`;
    })
    .join(" ");
}

/** The chance of a guess, and what it costs. */
export const CLASSES = 10;
export const GUESS = { loss: Math.log(CLASSES), right: 1 / CLASSES };

/** What can be asked about an exhibit, and the answers, one after the other. */
export function clues(bug, runs, healthy) {
  const byHeart = ([loss, right, testLoss, testRight]) =>
    `the loss is ${brief(loss)}, and ${percent(right)} are right; in a test with these very pictures ${brief(testLoss)} and ${percent(testRight)}`;
  const named = (names) => names.join(", ") || "none";
  return [
    [
      "The first loss",
      `Before any step, the first batch costs ${spread(runs.map((run) => run.first))}. A guess among ten classes costs ${brief(GUESS.loss)}.`,
    ],
    [
      "One batch by heart",
      `After 30 steps with the same 50 pictures ${byHeart(bug.batch)}. Without a bug, ${byHeart(healthy.batch)}.`,
    ],
    [
      "What has moved",
      `Parameters that are as they were before the training: ${named(bug.unmoved)}. Parameters whose grad is None: ${named(bug.without)}. 1 is the first layer, 2 the batch norm, 5 the head.`,
    ],
    [
      "The same scores twice?",
      bug.repeats
        ? "The trained network returns the same scores for the same pictures, twice."
        : "The trained network returns other scores for the same pictures, the second time.",
    ],
  ];
}
