import {
  CONFIG_KEYS,
  CONFIG_SCHEMA,
  environmentName,
  STREAMS_ABOUT,
  STREAMS_ALLOWED,
  STREAMS_DEFAULT,
} from './schema.js';

/** Width that comments are wrapped at. */
const COLUMNS = 98;

/** The commented `waystone.toml` that `waystone init` writes: every setting, off, with its default. */
export function defaultConfigFile(): string {
  const lines = [
    ...comment('Settings of a Waystone gateway.'),
    '#',
    ...comment(
      'Each setting stands here with its default; take away the "#" before it to change it. Environment variables win over this file, and flags of "waystone start" (--set mqtt.port=1884) win over both.',
    ),
  ];
  for (const [section, { about }] of Object.entries(CONFIG_SCHEMA)) {
    lines.push('', ...comment(about));
    if (section !== '') lines.push(`[${section}]`);
    for (const key of CONFIG_KEYS.filter((candidate) => candidate.section === section)) {
      lines.push('', ...comment(key.about));
      lines.push(...comment(`Allowed: ${key.allowed}. Environment: ${key.environment}`));
      lines.push(`# ${key.name} = ${JSON.stringify(key.fallback)}`);
    }
  }
  lines.push('', ...comment(STREAMS_ABOUT));
  lines.push(...comment(`Allowed: ${STREAMS_ALLOWED}.`));
  lines.push(...comment(`Environment: ${environmentName('streams')}=drive=1,lidar=2`));
  lines.push('[streams]');
  for (const [name, id] of Object.entries(STREAMS_DEFAULT)) lines.push(`# ${name} = ${id}`);
  return `${lines.join('\n')}\n`;
}

function comment(text: string): string[] {
  const lines: string[] = [];
  let line = '#';
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = '#';
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
