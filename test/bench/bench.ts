import { parseArgs } from 'node:util';
import { benchIngest, nameOf } from './benches/ingest.js';
import { short } from './statistics.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    rounds: { type: 'string' },
  },
});
const say = (line: string): void => console.error(line);
if (positionals[0] === 'ingest') {
  const report = await benchIngest({
    quick: values.quick,
    rounds: Number(values.rounds ?? (values.quick ? 2 : 5)),
    say,
  });
  for (const row of report.rows) {
    console.log(
      nameOf(row),
      short(row.framesPerSecond.median),
      `${short(row.ratio.median)} x (${short(row.ratio.least)}-${short(row.ratio.most)})`,
      `cpu ${short(row.cpuRatio)} x`,
    );
  }
  console.log(JSON.stringify(report.naive), report.fdatasyncP50Ms);
}
