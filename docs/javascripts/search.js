/**
 * The worker behind the search field, between the page and Material's own worker (search-index.js).
 *
 * It fetches the words of the book when the reader types a first letter: they weigh more than the rest of a page.
 * And of several words, as in an error message, it wants all, unless no place of the book has them all.
 *
 * Material sends one message to set its worker up and one per query, and waits for "ready" and for results. Its
 * source calls a worker in place of its own a supported way to customise search.
 */
const [SETUP, READY, QUERY, RESULT] = [0, 1, 2, 3];

let setup; // the message with Material's settings
let search; // a promise of Material's worker
let wanted; // the queries for what stands in the field, of which the next is asked if one finds nothing
const asked = []; // for each answer to come, the queries that it belongs to

onmessage = async ({ data: message }) => {
  if (message.type === SETUP) {
    setup = message;
    postMessage({ type: READY });
    return;
  }
  const queries = (wanted = strictestFirst(message.data));
  if (!queries.length) postMessage({ type: RESULT, data: { items: [] } });
  else ask(await (search ??= start()), queries);
};

async function start() {
  const documents = await fetch("../search/documents.json");
  setup.data.docs = await documents.json();
  const worker = new Worker(`search-index.js${location.search}`);
  worker.postMessage(setup);
  await new Promise((ready) => (worker.onmessage = ready));
  worker.onmessage = ({ data: result }) => {
    const queries = asked.shift();
    if (queries !== wanted) return; // the reader has typed on
    if (result.data.items.length || !queries.length) postMessage(result);
    else ask(worker, queries);
  };
  return worker;
}

function ask(worker, queries) {
  asked.push(queries);
  worker.postMessage({ type: QUERY, data: queries.shift() });
}

/**
 * Queries for Lunr, where a plus demands a word: of all words; of all but the last, which may still grow; of all but
 * the numbers, which are the reader's own in an error message; and as typed.
 */
function strictestFirst(text) {
  const words = text.match(/[\p{L}\p{N}_]+/gu) ?? [];
  if (!words.length) return [];
  const demanded = words.map((word) => `+${word}`);
  const growing = [...demanded.slice(0, -1), ...words.slice(-1)];
  const numbers = words.map((word) => (/^\d/.test(word) ? word : `+${word}`));
  return [demanded, growing, numbers, words].map((query) => query.join(" "));
}
