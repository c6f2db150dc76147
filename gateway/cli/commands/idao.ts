import type { Config } from '../../core/config.js';
import { WaystoneError } from '../../core/errors.js';
import { ROLES, type Role } from '../../core/idao-roles.js';
import type { SentTransaction } from '../../forge/chain-sender.js';
import type { IdaoClient, IdaoView, MemberView, OperatorView } from '../../forge/idao-client.js';
import { coinOf, weiOf } from '../amounts.js';
import type { Call } from '../call.js';
import { chainOf, type KeyFlags, sent, withKey } from '../chain-options.js';
import type { AddCommand } from '../cli.js';
import { date, pairs, plain } from '../format.js';

interface CreateFlags extends KeyFlags {
  readonly name?: string;
  readonly description?: string;
}

interface LimitFlags extends KeyFlags {
  readonly days: string;
  readonly perDay: string;
}

const NOBODY = `0x${'0'.repeat(40)}`;

export const addIdao: AddCommand = (program, act) => {
  const idao = program
    .command('idao')
    .description('the iDAO that owns devices and tokens: operators, treasury, bond')
    .addHelpText(
      'after',
      `
On the local chain the gateway must run, and makes its iDAO by itself. Elsewhere --keystore names the owner's key, which is
no business of a gateway: use it on another machine with the same waystone.toml.

Example:
  waystone idao show`,
    );

  const show = withKey(idao.command('show'))
    .description('owner, operators, treasury, tokens and bond')
    .addHelpText('after', '\nExample:\n  waystone idao show --json');
  act<KeyFlags>(show, async (call) => {
    await withIdao(call, async (client) => {
      const view = await client.view();
      call.print(view, () => describe(view));
    });
    return undefined;
  });

  const create = withKey(idao.command('create'))
    .option('--name <text>', 'its name (default: idao.name)')
    .option('--description <text>', 'what it is (default: idao.description)')
    .description('create the iDAO of the key that signs')
    .addHelpText(
      'after',
      '\nExample:\n  waystone idao create --keystore owner.json --password-file p',
    );
  act<CreateFlags>(create, async (call) => {
    await withIdao(call, async (client, config) => {
      const { name = config.idao.name, description = config.idao.description } = call.options;
      const done = await client.create({ name, description });
      call.print(done, () => `iDAO ${done.idao}; set chain.idaoAddress to it${sent(done)}`);
    });
    return undefined;
  });

  const metadata = withKey(idao.command('metadata'))
    .argument('[url]', 'where they are (default: http.publicUrl and /metadata/)')
    .description("say where the metadata of its datasets' tokens is")
    .addHelpText(
      'after',
      `
One address for all: a token's id and ".json" follow it. The gateway puts them there, or into http.publishFolder.

Example:
  waystone idao metadata https://gateway.example/metadata/`,
    );
  act<KeyFlags>(metadata, async (call, given = '') => {
    await withIdao(call, async (client, config) => {
      const base = given || defaultBase(config);
      const done = await client.setMetadataBase(base);
      call.print({ ...done, base }, () => `metadata is below ${plain(base)}${sent(done)}`);
    });
    return undefined;
  });

  const operators = idao
    .command('operators')
    .description("gateways' hot keys: they may register devices, commit and finalise")
    .addHelpText('after', '\nExample:\n  waystone idao operators add 0x…');
  const add = withKey(operators.command('add'))
    .argument('<address>', "address of the gateway's key")
    .option('--days <number>', 'days until its rights end; 0 is never', '0')
    .option('--per-day <datasets>', 'datasets that it may commit a day; 0 is any number', '0')
    .description('let a key act for the iDAO; again, with other limits, replaces them')
    .addHelpText('after', '\nExample:\n  waystone idao operators add 0x… --days 90 --per-day 200');
  act<LimitFlags>(add, (call, address = '') => {
    const days = wholeNumber('--days', call.options.days, 36_500);
    const datasetsPerDay = wholeNumber('--per-day', call.options.perDay, 4_294_967_295);
    const until = days === 0 ? 0 : Math.floor(call.terminal.nowMs() / 1_000) + days * 86_400;
    return send(call, `operator: ${address}`, (client) =>
      client.setOperator(address, true, { until, datasetsPerDay }),
    );
  });
  const remove = withKey(operators.command('remove'))
    .argument('<address>', "address of the gateway's key")
    .description('take its rights away')
    .addHelpText('after', '\nExample:\n  waystone idao operators remove 0x…');
  act<KeyFlags>(remove, (call, address = '') =>
    send(call, `no longer operator: ${address}`, (client) => client.setOperator(address, false)),
  );

  const members = withKey(idao.command('members'))
    .argument('<address>', 'who')
    .argument('[roles...]', `of ${Object.keys(ROLES).join(', ')}; none ends the membership`)
    .description('give a member exactly these roles')
    .addHelpText(
      'after',
      `
A registrar registers and revokes devices, a licensor issues licences, a treasurer pays from the treasury; a member as such
has no rights. None of them moves a dataset's token or the bond.

Example:
  waystone idao members 0x… licensor treasurer`,
    );
  act<KeyFlags>(members, (call, address = '', ...names) => {
    const roles = names.map(roleOf);
    const what = roles.length === 0 ? 'no longer a member' : roles.join(', ');
    return send(call, `${address}: ${what}`, (client) => client.setRoles(address, roles));
  });

  const bond = idao
    .command('bond')
    .description('the coin that answers for faults of its datasets')
    .addHelpText('after', '\nExample:\n  waystone idao bond deposit 100');
  const deposit = withKey(bond.command('deposit'))
    .argument('<coin>', 'how much, as 0.25')
    .description('add to the bond; anyone may, and only its owner gets it back')
    .addHelpText('after', '\nExample:\n  waystone idao bond deposit 100');
  act<KeyFlags>(deposit, (call, coin = '') => {
    const wei = weiOf('the bond', coin);
    return send(call, `deposited ${coin} coin`, (client) => client.depositBond(wei));
  });
  const request = withKey(bond.command('request'))
    .argument('<coin>', 'how much; 0 ends an earlier request')
    .description('ask back a part of the bond; it answers for faults until it is taken')
    .addHelpText('after', '\nExample:\n  waystone idao bond request 50');
  act<KeyFlags>(request, (call, coin = '') => {
    const wei = weiOf('the bond', coin);
    return send(call, `asked back ${coin} coin`, (client) => client.requestBond(wei));
  });
  const take = withKey(bond.command('take'))
    .description('take what was asked back, once its time is over, into the treasury')
    .addHelpText('after', '\nExample:\n  waystone idao bond take');
  act<KeyFlags>(take, (call) => send(call, 'taken', (client) => client.takeBond()));
};

function describe(view: IdaoView): string {
  const { bond } = view;
  return pairs([
    ['iDAO', view.idao],
    ['name', plain(view.name) || '-'],
    ['description', plain(view.description) || '-'],
    ['owner', view.owner],
    ...(view.pendingOwner === NOBODY ? [] : [['next owner', view.pendingOwner] as const]),
    ['operators', view.operators.map(operatorLine).join('; ') || 'none'],
    ['members', view.members.map(memberLine).join('; ') || 'none'],
    ['treasury', `${coinOf(view.treasury)} coin`],
    ['tokens', String(view.tokens)],
    ['metadata', plain(view.metadataBase) || '-'],
    ['bond', `${coinOf(bond.amount)} coin, at least ${coinOf(bond.minimum)} to commit`],
    ...(bond.requested === '0'
      ? []
      : [
          [
            'asked back',
            `${coinOf(bond.requested)} coin, from ${date(bond.takeableAt * 1e6)} on`,
          ] as const,
        ]),
  ]);
}

function operatorLine({ address, until, datasetsPerDay }: OperatorView): string {
  const limits = [
    ...(until === 0 ? [] : [`until ${date(until * 1e6)}`]),
    ...(datasetsPerDay === 0 ? [] : [`${datasetsPerDay} datasets a day`]),
  ];
  return limits.length === 0 ? address : `${address} (${limits.join(', ')})`;
}

const memberLine = ({ address, roles }: MemberView): string => `${address} (${roles.join(', ')})`;

function roleOf(name: string): Role {
  if (Object.hasOwn(ROLES, name)) return name as Role;
  throw new WaystoneError(
    'USAGE',
    `"${plain(name)}" is no role; there are ${Object.keys(ROLES).join(', ')}`,
  );
}

function wholeNumber(flag: string, text: string, max: number): number {
  if (/^[0-9]{1,10}$/.test(text) && Number(text) <= max) return Number(text);
  throw new WaystoneError('USAGE', `${flag} must be a whole number from 0 to ${max}`);
}

function defaultBase({ http: { publicUrl } }: Config): string {
  if (publicUrl !== '') return `${publicUrl}/metadata/`;
  throw new WaystoneError('USAGE', 'name the address, or set http.publicUrl');
}

async function send(
  call: Call<KeyFlags>,
  what: string,
  run: (client: IdaoClient) => Promise<SentTransaction>,
): Promise<undefined> {
  await withIdao(call, async (client) => {
    const done = await run(client);
    call.print(done, () => `${plain(what)}${sent(done)}`);
  });
  return undefined;
}

async function withIdao(
  call: Call<KeyFlags>,
  run: (client: IdaoClient, config: Config) => Promise<void>,
): Promise<void> {
  const { config, options } = await chainOf(call);
  const client = await call.parts.openIdao(config, options);
  try {
    await run(client, config);
  } finally {
    client.close();
  }
}
