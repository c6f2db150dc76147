/** One line of a plot. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface PlotOptions {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  /** Powers of ten on the x axis. */
  readonly isLogX?: boolean;
  readonly series: readonly Series[];
}

const WIDTH = 720;
const HEIGHT = 400;
const LEFT = 80;
const RIGHT = 20;
const TOP = 40;
const BOTTOM = 60;
const COLOURS = ['#0b6e99', '#c2410c', '#3f6212', '#6d28d9', '#a16207', '#be123c'];

/** A line plot as SVG, the y axis from zero. Pure. */
export function plotLines({ title, x, y, isLogX = false, series }: PlotOptions): string {
  const points = series.flatMap((one) => one.points);
  const xs = points.map(([at]) => (isLogX ? Math.log10(at) : at));
  const [xMin, xMax] = [Math.min(...xs), Math.max(...xs)];
  const yMax = niceAbove(Math.max(...points.map(([, value]) => value)));
  const xOf = (at: number) =>
    LEFT + (((isLogX ? Math.log10(at) : at) - xMin) / (xMax - xMin || 1)) * (WIDTH - LEFT - RIGHT);
  const yOf = (value: number) => HEIGHT - BOTTOM - (value / yMax) * (HEIGHT - TOP - BOTTOM);
  const ticks = Array.from({ length: 5 }, (_, k) => (yMax * k) / 4);
  const places = [...new Set(points.map(([at]) => at))].sort((a, b) => a - b);
  const shown =
    places.length <= 8
      ? places
      : [0, 0.25, 0.5, 0.75, 1].map(
          (part) => places[Math.round(part * (places.length - 1))] as number,
        );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<title>${xml(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${LEFT}" y="22" font-size="15">${xml(title)}</text>`,
    ...ticks.map(
      (tick) =>
        `<line x1="${LEFT}" y1="${yOf(tick)}" x2="${WIDTH - RIGHT}" y2="${yOf(tick)}" stroke="#ddd"/><text x="${LEFT - 8}" y="${yOf(tick) + 4}" text-anchor="end">${label(tick)}</text>`,
    ),
    ...shown.map(
      (at) =>
        `<text x="${xOf(at)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${label(at)}</text>`,
    ),
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - BOTTOM + 38}" text-anchor="middle">${xml(x)}</text>`,
    `<text transform="translate(18 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${xml(y)}</text>`,
    ...series.flatMap(({ name, points: line }, k) => {
      const colour = COLOURS[k % COLOURS.length];
      const path = line.map(([at, value]) => `${xOf(at).toFixed(1)},${yOf(value).toFixed(1)}`);
      return [
        `<polyline points="${path.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        ...(line.length > 40
          ? []
          : path.map(
              (at) =>
                `<circle cx="${at.split(',')[0]}" cy="${at.split(',')[1]}" r="3" fill="${colour}"/>`,
            )),
        `<text x="${WIDTH - RIGHT}" y="${TOP + 14 * k}" text-anchor="end" fill="${colour}">${xml(name)}</text>`,
      ];
    }),
    '</svg>',
    '',
  ].join('\n');
}

/** 1, 2 or 5 times a power of ten, at least `value`. */
export function niceAbove(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((step) => step * power >= value) ?? 10) * power;
}

function label(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 2 : 0 });
}

function xml(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
}
