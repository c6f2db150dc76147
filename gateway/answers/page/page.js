// The status page. Everything that comes from the gateway is written with textContent, never as HTML:
// labels and refusals are words of devices.

const REFRESH_MS = 2000;
// A fleet's list is long and changes slowly.
const DEVICES_REFRESH_MS = 10_000;
const DEVICES_SHOWN_MAX = 100;
const TOKEN_KEY = 'waystone-token';

const element = (selector) => document.querySelector(selector);

let token = takeToken();
let timer;
let devicesAtMs = 0;

element('#login').addEventListener('submit', (event) => {
  event.preventDefault();
  token = element('#token').value.trim();
  element('#token').value = '';
  sessionStorage.setItem(TOKEN_KEY, token);
  refresh();
});
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && token !== '') refresh();
});

if (token === '') askForToken('');
else refresh();

/** From `#token=` in the address, which is then taken away from address and history, or from this tab's memory. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given) {
    sessionStorage.setItem(TOKEN_KEY, given);
    history.replaceState(null, '', location.pathname);
  }
  return sessionStorage.getItem(TOKEN_KEY) ?? '';
}

function askForToken(why) {
  token = '';
  devicesAtMs = 0;
  sessionStorage.removeItem(TOKEN_KEY);
  element('#answers').hidden = true;
  element('#login').hidden = false;
  element('#login-error').textContent = why;
  element('#freshness').textContent = '';
  element('#token').focus();
}

async function ask(path) {
  const response = await fetch(path, {
    headers: { authorization: `Bearer ${token}` },
    cache: 'no-store',
    signal: AbortSignal.timeout(10_000),
  });
  const body = await response.json();
  if (response.ok) return body;
  const error = new Error(body.error?.message ?? `HTTP ${response.status}`);
  error.isTokenWrong = response.status === 401;
  throw error;
}

async function refresh() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    const wantsDevices = Date.now() - devicesAtMs >= DEVICES_REFRESH_MS;
    const [status, batches, datasets, refusals, devices] = await Promise.all([
      ask('/v1/status'),
      ask('/v1/batches?limit=20'),
      ask('/v1/datasets?limit=20'),
      ask('/v1/refusals?limit=20'),
      wantsDevices ? ask('/v1/devices') : null,
    ]);
    element('#login').hidden = true;
    element('#answers').hidden = false;
    showStatus(status);
    fill('#batches', batches.batches.map(batchRow), 'No batch yet: no device has sent anything.');
    fill(
      '#datasets',
      datasets.datasets.map((row) => datasetRow(row, status.nowUs)),
      'No dataset yet: the first batch is still open.',
    );
    fill(
      '#refusals',
      refusals.refusals.map((row) => refusalRow(row, status.nowUs)),
      'Nothing was refused.',
    );
    if (devices !== null) {
      devicesAtMs = Date.now();
      showDevices(devices.devices, status.nowUs);
    }
    setFreshness('', false);
  } catch (error) {
    if (error.isTokenWrong) return askForToken('This gateway does not know that token.');
    setFreshness(`No answer from the gateway (${error.message}); trying again`, true);
  }
  clearTimeout(timer);
  timer = setTimeout(refresh, REFRESH_MS);
}

/** Says only what changed: a live region that repeats itself is read aloud every time. */
function setFreshness(text, isBad) {
  const place = element('#freshness');
  if (place.textContent !== text) place.textContent = text;
  place.className = isBad ? 'bad' : '';
}

/** How long the disk can take data while nothing is forged. */
function outageText(disk) {
  if (disk.hoursLeft === null) return 'no data comes';
  return `room for ${span(disk.hoursLeft * 3600)} of data at ${size(disk.bytesPerSecond)}/s`;
}

function showStatus(status) {
  setText(
    '#identity',
    `${status.version} · up ${span((status.nowUs - status.startedAtUs) / 1e6)} · ${status.gateway}`,
  );

  const { box, uplink, chain, totals } = status;
  setState(
    '#box',
    box.state,
    box.state === 'ok' ? 'good' : box.state === 'degraded' ? 'bad' : 'busy',
  );
  setText('#box .why', box.why);
  setList('#box dl', [
    ['MQTT', `${box.mqtt}, ${count(status.connections)} connected`],
    ['HTTP', box.http],
    ['Disk', `${size(box.diskFreeBytes)} free, ${size(box.dataBytes)} used by data`],
    ...(box.disk === null ? [] : [['Outage', outageText(box.disk)]]),
    ['Memory', size(box.memoryBytes)],
    ['Clock', box.clockTrusted ? 'trusted' : 'not trusted: times of this gateway are flagged'],
  ]);

  const uplinkClass = { ok: 'good', down: 'bad' }[uplink.state] ?? 'quiet';
  setState('#uplink', uplink.state, uplinkClass);
  setText('#uplink .why', uplink.why || (uplink.state === 'ok' ? "The chain's node answers." : ''));

  setState('#chain', chain.network, 'quiet');
  setText('#chain .why', chain.note);
  setList('#chain dl', [
    ['Chain id', String(chain.chainId)],
    ['Block', chain.headBlock === null ? 'unknown' : count(chain.headBlock)],
    ['iDAO', chain.idao || 'none'],
    ...(chain.gasPerDay === null ? [] : [['Gas a day', `about ${count(chain.gasPerDay)}`]]),
    ...Object.entries(chain.contracts),
  ]);

  setTotals([
    ['frames', totals.frames],
    ['envelopes', totals.envelopes],
    ['duplicates', totals.duplicates],
    ['refused', totals.refused],
    ['devices', totals.devices],
    ['datasets', totals.datasets],
    ['forged', totals.forged],
  ]);
}

function showDevices(devices, nowUs) {
  const newest = devices
    .toSorted((a, b) => (b.lastSeenUs ?? 0) - (a.lastSeenUs ?? 0))
    .slice(0, DEVICES_SHOWN_MAX);
  fill(
    '#devices',
    newest.map((row) => deviceRow(row, nowUs)),
    'No device is enrolled: waystone devices add <did>.',
  );
  const more = devices.length - newest.length;
  setText('#devices-title', more > 0 ? `Devices (${count(more)} more not shown)` : 'Devices');
}

function batchRow(row) {
  return [
    { text: String(row.id), kind: 'number' },
    { text: row.state, kind: stateClass(row.state) },
    { text: row.streamName, kind: 'minor' },
    { text: count(row.frames), kind: 'number' },
    { text: count(row.devices), kind: 'number minor' },
    { text: size(row.bytes), kind: 'number minor' },
    { text: span(row.ageSeconds), kind: 'number' },
    { text: row.waitsFor || withdrawn(row.withdrawal), kind: 'long' },
  ];
}

function datasetRow(row, nowUs) {
  return [
    { text: String(row.logIndex), kind: 'number' },
    { text: short(row.root), kind: 'code', title: row.root },
    { text: row.state, kind: stateClass(row.state), title: row.waitsFor },
    { text: count(row.frames), kind: 'number' },
    { text: ago(row.sealedAtUs, nowUs), title: date(row.sealedAtUs) },
    {
      text: row.dat ? `${row.dat.target === 'lazai' ? 'LazAI ' : ''}#${row.dat.tokenId}` : '–',
      kind: 'number',
      title: row.dat?.transaction,
    },
    row.dat
      ? { text: short(row.dat.owner), kind: 'code', title: row.dat.owner }
      : { text: row.waitsFor || withdrawn(row.withdrawal), kind: 'long' },
  ];
}

/** Why a dataset gets no DAT, and where the rest of its entries is. */
function withdrawn(withdrawal) {
  if (!withdrawal) return '';
  const reasons = Object.entries(withdrawal.reasons).map(([code, n]) => `${count(n)} ${code}`);
  const { successor } = withdrawal;
  const rest = successor === null ? 'nothing is left of it' : `the rest is in batch ${successor}`;
  return `${reasons.join(', ')}; ${rest}`;
}

function deviceRow(row, nowUs) {
  const state = row.revokedAtUs !== null ? 'revoked' : row.connected ? 'connected' : 'away';
  return [
    { text: short(row.did.replace('did:key:', '')), kind: 'code', title: row.did },
    { text: row.label },
    { text: row.keyType },
    { text: state, kind: { revoked: 'bad', connected: 'good', away: 'quiet' }[state] },
    { text: row.lastSeenUs === null ? 'never' : ago(row.lastSeenUs, nowUs) },
    { text: count(row.frames), kind: 'number' },
    { text: count(row.refused), kind: 'number' },
    { text: count(row.gaps.length), kind: 'number' },
  ];
}

function refusalRow(row, nowUs) {
  return [
    { text: ago(row.atUs, nowUs), title: date(row.atUs) },
    { text: row.code, kind: 'code' },
    { text: short(row.did.replace('did:key:', '')), kind: 'code', title: row.did },
    { text: row.detail, kind: 'long' },
  ];
}

/** Writes a table's rows; cells that are there are kept, so that a selection survives the refresh. */
function fill(selector, rows, none) {
  const body = element(`${selector} tbody`);
  const columns = element(`${selector} thead tr`).children.length;
  const wanted = rows.length > 0 ? rows : [[{ text: none, kind: 'quiet', span: columns }]];
  while (body.rows.length > wanted.length) body.deleteRow(-1);
  wanted.forEach((cells, at) => {
    const line = body.rows[at] ?? body.insertRow();
    while (line.cells.length > cells.length) line.deleteCell(-1);
    cells.forEach((cell, column) => {
      const place = line.cells[column] ?? line.insertCell();
      if (place.textContent !== cell.text) place.textContent = cell.text;
      place.className = cell.kind ?? '';
      place.title = cell.title ?? '';
      place.colSpan = cell.span ?? 1;
    });
  });
}

function setText(selector, text) {
  const place = element(selector);
  if (place.textContent !== text) place.textContent = text;
}

function setState(selector, text, kind) {
  setText(`${selector} .state`, text);
  element(`${selector} .state`).className = `state ${kind}`;
}

function setList(selector, rows) {
  const list = element(selector);
  while (list.children.length > rows.length * 2) list.lastElementChild.remove();
  rows.forEach(([term, text], at) => {
    const [name, value] = [list.children[2 * at], list.children[2 * at + 1]];
    if (name === undefined) {
      list.append(make('dt', term), make('dd', text));
    } else {
      if (name.textContent !== term) name.textContent = term;
      if (value.textContent !== text) value.textContent = text;
    }
  });
}

function setTotals(rows) {
  element('#totals').replaceChildren(
    ...rows.map(([term, value]) => {
      const pair = document.createElement('div');
      pair.append(make('dt', term), make('dd', count(value)));
      return pair;
    }),
  );
}

function make(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function stateClass(state) {
  if (state === 'forged') return 'good';
  return state === 'withdrawn' ? 'bad' : 'busy';
}

function count(value) {
  return value.toLocaleString('en');
}

function size(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

function ago(atUs, nowUs) {
  return `${span((nowUs - atUs) / 1e6)} ago`;
}

function date(us) {
  return new Date(us / 1000).toISOString();
}

function short(text) {
  return text.length > 20 ? `${text.slice(0, 10)}…${text.slice(-6)}` : text;
}
