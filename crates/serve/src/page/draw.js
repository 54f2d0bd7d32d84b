
// What is drawn. Names come from logs and bodies, so that every text is set as text and never as markup.

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function problem(text) {
  at('problem').textContent = text;
  at('problem').hidden = text === '';
}

const plural = (count, one) => `${count.toLocaleString('en')} ${one}${count === 1 ? '' : 's'}`;

function figure(value, digits = 3) {
  if (value === null || value === undefined) return '–∞';
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-4 || size >= 1e6) ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits)));
  return text.replace('-', '−');
}

const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

function drawModels() {
  const cards = state.models.map((one) => {
    const choice = make('input', { type: 'radio', name: 'model', value: one.name, 'aria-label': `Rank with ${one.name}` });
    choice.checked = one.name === state.chosen;
    const opened = one.opened ? new Date(1000 * one.opened).toLocaleString() : '';
    const facts = one.ready ? `${one.structure}, version ${one.version}` : 'is being loaded and checked';
    const drift = (name) => (one.drift ?? []).find((task) => task.task === name)?.drift;
    const named = (name) => (drift(name) > 0.1 ? `${name}: drift ${figure(drift(name), 2)}` : name);
    const tasks = (one.tasks ?? []).map((task) => make('li', { class: 'chip' }, named(task.name)));
    return make('li', {}, make('label', { class: 'card' }, choice,
      make('b', {}, one.name),
      make('span', { class: 'facts' }, facts),
      one.ready ? make('span', { class: 'facts' }, `${plural(one.features.length, 'feature')}, opened ${opened}`) : null,
      one.previous ? make('span', { class: 'facts' }, `before: ${one.previous}`) : null,
      one.refused ? make('span', { class: 'facts refused' }, `A newer version was refused: ${one.refused}`) : null,
      make('ul', { class: 'chips', 'aria-label': 'Tasks' }, ...tasks)));
  });
  at('models').replaceChildren(...cards);
}

function drawTraffic(recent) {
  const time = (ms) => (ms === null ? ['–'] : [figure(ms), ' ', make('small', {}, 'ms')]);
  at('p50').replaceChildren(...time(recent.p50_ms));
  at('p99').replaceChildren(...time(recent.p99_ms));
  at('rate').textContent = figure(recent.per_second);
  at('errors').replaceChildren(recent.errors.toLocaleString('en'), ' ', make('small', {}, `of ${recent.requests.toLocaleString('en')}`));
  at('errors').classList.toggle('bad', recent.errors > 0);
  const most = Math.max(1, ...recent.requests_by_second);
  const bar = (count, index, kind) => {
    const rect = document.createElementNS(at('spark').namespaceURI, 'rect');
    const height = (46 * count) / most;
    for (const [name, value] of Object.entries({ x: 10 * index + 1, width: 8, y: 48 - height, height, class: kind })) rect.setAttribute(name, value);
    return rect;
  };
  const bars = recent.requests_by_second.flatMap((count, index) => [bar(count, index, 'all'), bar(recent.errors_by_second[index], index, 'failed')]);
  at('spark').replaceChildren(...bars);
  at('spark').setAttribute('aria-label', `Requests in each second of the last minute, ${most} at the most`);
}

function drawSliders() {
  const sum = isSum();
  at('sliders-title').textContent = sum ? 'Factors' : 'Exponents';
  at('sliders-hint').textContent = sum
    ? 'How much each prediction counts in the sum. 0 leaves a task out.'
    : 'How much each prediction counts in the product. 0 leaves a task out.';
  const sliders = Object.entries(state.base).map(([task, base], number) => {
    const [min, max] = [Math.min(0, 2 * base), Math.max(2, 2 * base)];
    const step = (max - min) / 40;
    const input = make('input', { type: 'range', id: `power-${number}`, min, max, step });
    input.value = state.powers[task];
    const output = make('output', { for: input.id }, figure(state.powers[task]));
    const slider = make('div', { class: 'slider' }, make('label', { for: input.id }, task), output, input);
    input.addEventListener('input', () => {
      state.powers[task] = Number(input.value);
      output.textContent = figure(state.powers[task]);
      slider.classList.toggle('moved', state.powers[task] !== base);
      rank();
    });
    return slider;
  });
  at('slider-list').replaceChildren(...sliders);
  at('sliders').hidden = false;
}

function nameOf(candidate) {
  return candidate.id === undefined ? `candidate ${candidate.index}` : shown(candidate.id);
}

/** How many places a candidate has moved from where it stands without the sliders. */
function moveOf(candidate, place) {
  const before = state.places.get(candidate.index);
  if (before === undefined) return { kind: 'good', text: '▲ new', said: `comes from below place ${SHOWN}` };
  const up = before - place;
  if (up === 0) return { kind: 'same', text: '=', said: 'has not moved' };
  const said = `${up > 0 ? 'up' : 'down'} ${plural(Math.abs(up), 'place')}`;
  return { kind: up > 0 ? 'good' : 'bad', text: `${up > 0 ? '▲' : '▼'} ${Math.abs(up)}`, said };
}

function candidateItem(index) {
  const item = make('li', { class: 'candidate' });
  item.dataset.index = index;
  const button = make('button', { type: 'button', 'aria-expanded': 'false', 'aria-controls': `why-${index}` });
  const why = make('div', { class: 'why', id: `why-${index}`, hidden: true });
  button.addEventListener('click', () => {
    const open = !state.opened.has(index);
    state.opened[open ? 'add' : 'delete'](index);
    const place = state.answer.ranked.findIndex((candidate) => candidate.index === index);
    if (place >= 0) drawCandidate(item, state.answer.ranked[place], place);
  });
  item.append(button, why);
  return item;
}

function drawCandidate(item, candidate, place) {
  const [button, why] = item.children;
  const move = moveOf(candidate, place);
  const some = fieldsOf(candidate.index).own.filter(([, value]) => value !== candidate.id).slice(0, 4);
  button.replaceChildren(
    make('span', { class: 'place' }, `${place + 1}`),
    make('span', { class: `move ${move.kind}` }, make('span', { 'aria-hidden': 'true' }, move.text), make('span', { class: 'unseen' }, move.said)),
    make('span', { class: 'who' }, make('b', {}, nameOf(candidate)), make('small', {}, some.map(([name, value]) => `${name} ${shown(value)}`).join(' · '))),
    make('span', { class: 'score' }, make('span', { class: 'unseen' }, 'score '), figure(candidate.score, 4)),
    make('span', { class: 'turn', 'aria-hidden': 'true' }, '›'));
  const open = state.opened.has(candidate.index);
  button.setAttribute('aria-expanded', String(open));
  why.hidden = !open;
  if (open) why.replaceChildren(...whyOf(candidate));
}

function drawRanking(milliseconds) {
  const { ranked, candidates } = state.answer;
  const list = at('candidates');
  const items = new Map([...list.children].map((item) => [Number(item.dataset.index), item]));
  const before = new Map([...items].map(([index, item]) => [index, item.getBoundingClientRect().top]));
  const focused = document.activeElement;
  const order = ranked.map((candidate, place) => {
    const item = items.get(candidate.index) ?? candidateItem(candidate.index);
    drawCandidate(item, candidate, place);
    return item;
  });
  if (order.length !== list.children.length || order.some((item, place) => list.children[place] !== item)) {
    list.replaceChildren(...order);
    if (list.contains(focused)) focused.focus({ preventScroll: true });
    glide(order, before);
  }
  const moved = ranked.filter((candidate, place) => state.places.get(candidate.index) !== place).length;
  const count = ranked.length < candidates ? `the first ${ranked.length} of ${plural(candidates, 'candidate')}` : plural(candidates, 'candidate');
  const first = ranked.length ? ` ${nameOf(ranked[0])} is first.` : '';
  const changed = moved ? ` ${plural(moved, 'candidate')} ${moved === 1 ? 'stands' : 'stand'} at another place than without the sliders.` : '';
  at('summary').textContent = `Ranked ${count} in ${figure(milliseconds, 2)} ms.${first}${changed}`;
}

/** Lets each item glide from where it stood to where it stands. */
function glide(items, before) {
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  for (const item of items) {
    const way = (before.get(Number(item.dataset.index)) ?? NaN) - item.getBoundingClientRect().top;
    if (!way) continue;
    item.classList.toggle('up', way > 0);
    const animation = item.animate([{ transform: `translateY(${way}px)` }, { transform: 'none' }], { duration: 400, easing: 'cubic-bezier(.2, .7, .2, 1)' });
    animation.onfinish = () => item.classList.remove('up');
  }
}

function whyOf(candidate) {
  const { shares, gates, unknown, missing } = candidate.explain;
  const parts = [make('h3', {}, isSum() ? 'Shares of the score' : 'Shares of the logarithm of the score'), bars(candidate, shares)];
  const note = isSum()
    ? 'The factor times the prediction. All add up to the score.'
    : 'The exponent times the logarithm of the prediction: a bar to the left pulls the candidate down.';
  parts.push(make('p', { class: 'hint' }, `${note} A line marks the mean of all candidates shown.`));
  if (gates.length) parts.push(make('h3', {}, 'Gate weights of each task'), ...gates.map((level, number) => levelOf(level, number, gates.length)), legendOf(gates), numbersOf(gates));
  parts.push(make('h3', {}, 'Features that fall back'));
  const chips = [...unknown.map((name) => `${name}: unknown value`), ...missing.map((name) => `${name}: missing`)];
  parts.push(chips.length
    ? make('ul', { class: 'chips' }, ...chips.map((text) => make('li', { class: 'chip bad' }, text)))
    : make('p', { class: 'hint' }, 'None: the model knows each value.'));
  const { own, request } = fieldsOf(candidate.index);
  const pairs = [...own, ...request].flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, shown(value))]);
  parts.push(make('details', {}, make('summary', {}, 'Its fields'), make('dl', { class: 'fields' }, ...pairs)));
  return parts;
}

/** Shares of a candidate by name: its tasks, then the transform. */
function sharesOf(shares) {
  const transform = 'transform' in shares ? [[`transform (${model().rank?.transform?.column ?? 'column'})`, shares.transform]] : [];
  return [...Object.entries(shares.tasks), ...transform];
}

function bars(candidate, shares) {
  const all = state.answer.ranked.map((other) => sharesOf(other.explain.shares));
  const finite = all.flat().map(([, share]) => share).filter((share) => share !== null);
  const [low, high] = [Math.min(0, ...finite), Math.max(0, ...finite)];
  const place = (share) => (100 * (share - low)) / (high - low || 1);
  const rows = sharesOf(shares).flatMap(([name, share], number) => {
    const own = all.map((other) => other[number][1]).filter((other) => other !== null);
    const mean = own.reduce((sum, other) => sum + other, 0) / (own.length || 1);
    const task = model().tasks.findIndex((one) => one.name === name);
    const bar = make('span', { class: `bar ${task < 0 ? 'shared' : `s${task % 8}`}`, 'aria-hidden': 'true' });
    if (share !== null) {
      const fill = make('i');
      fill.style.left = `${Math.min(place(0), place(share))}%`;
      fill.style.width = `${Math.abs(place(share) - place(0))}%`;
      bar.append(fill);
    }
    const line = make('em');
    line.style.left = `calc(${place(mean)}% - 1px)`;
    bar.append(line);
    const predicts = name in candidate.predictions ? make('small', { class: 'hint' }, ` ${figure(candidate.predictions[name])}`) : null;
    return [make('span', {}, name, predicts), bar, make('span', { class: 'figure' }, figure(share))];
  });
  const total = [make('b', {}, isSum() ? 'score' : 'ln score'), make('span'), make('b', { class: 'figure' }, figure(shares.total))];
  return make('div', { class: 'bars' }, ...rows, ...total);
}

/** An expert in short, and the colour of whose it is. */
function expertOf(name) {
  const short = name.replace(/^levels\.\d+\./, '');
  const [owner, number] = short.split(/\.?experts\./);
  const task = model().tasks.findIndex((one) => one.name === owner);
  const colour = owner === 'shared' ? 'shared' : `s${(task >= 0 ? task : Number(number) || 0) % 8}`;
  return { text: owner ? `${owner} ${number ?? ''}`.trim() : `expert ${number}`, owner: owner || `expert ${number}`, colour };
}

function levelOf(level, number, levels) {
  const rows = Object.entries(level).flatMap(([gate, experts]) => {
    const weights = Object.entries(experts).map(([name, weight]) => ({ ...expertOf(name), weight }));
    const parts = weights.map(({ text, colour, weight }) => {
      const part = make('span', { class: `part ${colour}`, title: `${text}: ${percent(weight)}` },
        make('span', { class: 'name' }, text), make('span', { class: 'percent' }, percent(weight)));
      part.style.flex = `${weight} 1 0`;
      return part;
    });
    const said = `${gate}: ${weights.map(({ text, weight }) => `${text} ${percent(weight)}`).join(', ')}`;
    return [make('span', {}, gate), make('div', { class: 'stack', role: 'img', 'aria-label': said }, ...parts)];
  });
  return make('div', {}, levels > 1 ? make('h4', {}, `Level ${number + 1} of ${levels}`) : null, make('div', { class: 'gates' }, ...rows));
}

/** Whose experts have which colour. */
function legendOf(gates) {
  const experts = gates.flatMap((level) => Object.values(level).flatMap((weights) => Object.keys(weights))).map(expertOf);
  const owners = new Map(experts.map(({ owner, colour }) => [owner, colour]));
  const items = [...owners].map(([owner, colour]) => make('li', {}, make('span', { class: `swatch ${colour}`, 'aria-hidden': 'true' }), owner));
  return make('ul', { class: 'legend', 'aria-label': 'Whose experts' }, ...items);
}

function numbersOf(gates) {
  const rows = gates.flatMap((level, number) => Object.entries(level).flatMap(([gate, experts]) => Object.entries(experts).map(([expert, weight]) =>
    make('tr', {}, make('th', { scope: 'row' }, expert), make('td', {}, String(number + 1)), make('td', {}, gate), make('td', {}, weight.toFixed(4))))));
  const head = make('tr', {}, ...['expert', 'level', 'gate', 'weight'].map((name) => make('th', { scope: 'col' }, name)));
  return make('details', {}, make('summary', {}, 'Numbers'), make('div', { class: 'table', tabindex: '0', role: 'group', 'aria-label': 'Weights of the gates' },
    make('table', {}, make('thead', {}, head), make('tbody', {}, ...rows))));
}
