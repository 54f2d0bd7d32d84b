'use strict';

// What the page knows, and how it asks the server.

const at = (id) => document.getElementById(id);

/** Candidates that are shown at the most. */
const SHOWN = 100;

/** Kept here and nowhere else. */
let token = '';

const state = {
  models: [],
  /** Name of the chosen model. */
  chosen: null,
  /** The body as it was given, and what it says as an object. */
  body: null,
  /** By task: the exponent that the model and the body have, and the one of its slider. */
  base: {},
  powers: {},
  /** Place of each candidate under the exponents of `base`, by index. */
  places: null,
  answer: null,
  opened: new Set(),
  /** Whether a ranking is under way, and whether another one is to follow it. */
  asking: false,
  again: false,
};

class Refused extends Error {}

async function ask(path, body) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const method = body === undefined ? 'GET' : 'POST';
  let answer;
  try {
    answer = await fetch(path, { method, headers, body, cache: 'no-store' });
  } catch {
    throw new Refused('The server does not answer.');
  }
  const text = await answer.text();
  let said;
  try {
    said = exact(text);
  } catch {
    throw new Refused(`The server answers ${answer.status} with something that is no JSON.`);
  }
  if (answer.status === 401) {
    askForToken(token !== '');
    throw new Refused('');
  }
  if (!answer.ok) {
    const error = said.error ?? {};
    const refusal = new Refused(error.message ? `${error.message}\n${error.advice ?? ''}` : `The server answers ${answer.status}.`);
    refusal.code = error.code;
    throw refusal;
  }
  return said;
}

/** JSON whose whole numbers keep all their digits, where the browser can. */
function exact(text) {
  return JSON.parse(text, (key, value, context) => {
    const isLarge = typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value);
    return isLarge && context?.source && JSON.rawJSON && /^-?\d+$/.test(context.source) ? JSON.rawJSON(context.source) : value;
  });
}

function shown(value) {
  if (value === null || value === undefined) return 'missing';
  if (Array.isArray(value)) return value.length ? value.map(shown).join(', ') : 'empty list';
  return typeof value === 'object' && 'rawJSON' in value ? value.rawJSON : String(value);
}

const model = () => state.models.find((one) => one.name === state.chosen);
const isSum = () => (state.answer?.fusion ?? model()?.rank?.fusion) === 'sum';

/** Exponents of a model without a slider's doing; for one without a score, probabilities count once. */
function baseOf(of, body) {
  const own = { ...of.rank?.score, ...body?.score };
  const guess = Object.keys(own).length === 0;
  return Object.fromEntries(of.tasks.map((task) => [task.name, own[task.name] ?? (guess && task.kind === 'binary' ? 1 : 0)]));
}

/** The exponents that are sent: a task that neither counted before nor counts now stays out. */
function score() {
  const own = { ...model().rank?.score, ...state.body.score };
  const counts = ([task, power]) => power !== 0 || task in own;
  return Object.fromEntries(Object.entries(state.powers).filter(counts));
}

/** The fields of a candidate, its own before those of the request. */
function fieldsOf(index) {
  const { rows, columns, request } = state.body;
  const own = rows ? rows[index] : Object.fromEntries(Object.entries(columns ?? {}).map(([name, values]) => [name, values[index]]));
  return { own: Object.entries(own ?? {}), request: Object.entries(request ?? {}) };
}

/** Ranks the body by the sliders. While an answer is awaited, moves of sliders become one more request. */
async function rank() {
  if (state.asking) {
    state.again = true;
    return;
  }
  state.asking = true;
  try {
    do {
      state.again = false;
      const given = state.body;
      if (given === null) break;
      const top = Math.min(given.top ?? SHOWN, SHOWN);
      const body = JSON.stringify({ ...given, score: score(), top, explain: true });
      const begin = performance.now();
      const answer = await ask(`/v1/models/${state.chosen}/rank`, body);
      // Another body, or another model, was chosen meanwhile.
      if (state.body !== given) continue;
      state.answer = answer;
      state.places ??= new Map(answer.ranked.map((candidate, place) => [candidate.index, place]));
      problem('');
      drawRanking(performance.now() - begin);
    } while (state.again);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    problem(error.message);
  } finally {
    state.asking = false;
  }
}

/** Ranks another body, from the model's own exponents on. */
function rankBody(text) {
  let body;
  try {
    body = exact(text);
  } catch (error) {
    problem(`The body is no JSON: ${error.message}`);
    return;
  }
  if (body === null || typeof body !== 'object' || Array.isArray(body)) {
    problem('The body is no JSON object.');
    return;
  }
  Object.assign(state, { body, base: baseOf(model(), body), places: null, answer: null });
  state.powers = { ...state.base };
  state.opened.clear();
  at('candidates').replaceChildren();
  drawSliders();
  rank();
}
