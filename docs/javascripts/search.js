/**
 * The worker behind the search field, between the page and Material's own worker.
 *
 * It fetches the words of the book when the reader types a first letter: they weigh more than the rest of a page.
 * And of several words, as in an error message, it wants all, unless no place of the book has them all.
 *
 * Material sends one message to set its worker up and one per query, and waits for "ready" and for results. Its
 * source calls a worker in place of its own a supported way to customise search.
 */
const [SETUP, READY, QUERY] = [0, 1, 2];

let setup; // the message with Material's settings
let search; // a promise of Material's worker
let queries = []; // what is still to be asked, until something is found

onmessage = async ({ data: message }) => {
  if (message.type === SETUP) {
    setup = message;
    postMessage({ type: READY });
  } else if (message.data.trim()) {
    search ??= start();
    const worker = await search;
    queries = strictestFirst(message.data);
    ask(worker);
  }
};

async function start() {
  const documents = await fetch("../search/documents.json");
  setup.data.docs = await documents.json();
  const worker = new Worker(new URL(location.href).searchParams.get("worker"));
  worker.postMessage(setup);
  await new Promise((ready) => (worker.onmessage = ready));
  worker.onmessage = ({ data: result }) => {
    if (result.data.items.length || !queries.length) postMessage(result);
    else ask(worker);
  };
  return worker;
}

function ask(worker) {
  worker.postMessage({ type: QUERY, data: queries.shift() });
}

/** Queries for Lunr, where a plus demands a word: of all words, of all but one that may still grow, and as typed. */
function strictestFirst(text) {
  const words = text.match(/[\p{L}\p{N}_]+/gu) ?? [];
  const demanded = words.map((word) => `+${word}`);
  return [demanded.join(" "), [...demanded.slice(0, -1), ...words.slice(-1)].join(" "), text];
}
