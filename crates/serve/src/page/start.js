
// What happens when.

/** Milliseconds between two looks at the last minute; the models are looked at every third time. */
const EVERY = 2000;

let looks = 0;

function askForToken(wrong) {
  at('access').hidden = false;
  // A link sends no token.
  at('links').hidden = true;
  at('access-why').textContent = wrong
    ? 'The server does not take this token. Give another one.'
    : 'This server answers those who have a token. It stays in this page alone and is forgotten when the page is closed.';
  token = '';
  at('token').focus();
}

async function look() {
  if (document.hidden || !at('access').hidden) return;
  try {
    if (looks % 3 === 0 || !model()?.ready) await lookAtModels();
    drawTraffic(await ask('/v1/recent'));
    looks += 1;
    if (at('problem').textContent === LOST) problem('');
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.message) problem(LOST);
  }
}

const LOST = 'The server does not answer. The page tries again every few seconds.';

let seen = '';

async function lookAtModels() {
  const { models } = await ask('/v1/models');
  const now = JSON.stringify(models);
  if (now === seen) return;
  seen = now;
  state.models = models;
  state.chosen ??= models[0]?.name ?? null;
  drawModels();
  const ready = Boolean(model()?.ready);
  at('sample').disabled = !ready;
  at('rank').disabled = !ready;
}

async function rankSample() {
  try {
    const sample = await ask(`/v1/models/${state.chosen}/sample`);
    at('body').value = JSON.stringify(sample, null, 1);
    rankBody(at('body').value);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    problem(error.message);
  }
}

at('sample').addEventListener('click', rankSample);

at('rank').addEventListener('click', () => {
  if (at('body').value.trim() === '') {
    at('body-box').open = true;
    at('body').focus();
    problem('There is no body yet: paste one, or rank the sample.');
    return;
  }
  rankBody(at('body').value);
});

at('reset').addEventListener('click', () => {
  state.powers = { ...state.base };
  drawSliders();
  rank();
});

at('models').addEventListener('change', (event) => {
  state.chosen = event.target.value;
  Object.assign(state, { body: null, places: null, answer: null });
  state.opened.clear();
  at('candidates').replaceChildren();
  at('sliders').hidden = true;
  at('summary').textContent = 'Nothing is ranked yet.';
  at('body').value = '';
  problem('');
  seen = '';
  lookAtModels().catch((error) => problem(error.message));
});

at('access').addEventListener('submit', (event) => {
  event.preventDefault();
  token = at('token').value.trim();
  at('token').value = '';
  at('access').hidden = true;
  problem('');
  looks = 0;
  look();
});

at('sample').disabled = true;
at('rank').disabled = true;
look();
setInterval(look, EVERY);
document.addEventListener('visibilitychange', look);
