import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

/** The gateway's metrics; every unit is in the name. */
export function makeMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'waystone_' });
  const registers = [registry];
  return {
    registry,
    envelopes: new Counter({
      name: 'waystone_envelopes_total',
      help: 'Envelopes decided, by outcome.',
      labelNames: ['outcome'] as const,
      registers,
    }),
    frames: new Counter({
      name: 'waystone_frames_stored_total',
      help: 'Frames stored.',
      registers,
    }),
    refusals: new Counter({
      name: 'waystone_refusals_total',
      help: 'Envelopes, packets and logins that were not accepted, by code.',
      labelNames: ['code'] as const,
      registers,
    }),
    datasets: new Counter({
      name: 'waystone_datasets_total',
      help: 'Datasets since start, by step reached.',
      labelNames: ['step'] as const,
      registers,
    }),
    connections: new Gauge({
      name: 'waystone_mqtt_connections',
      help: 'MQTT connections now.',
      registers,
    }),
    diskFree: new Gauge({
      name: 'waystone_disk_free_bytes',
      help: 'Free space of the file system with the data.',
      registers,
    }),
    diskRefusing: new Gauge({
      name: 'waystone_disk_refusing',
      help: '1 while new data is told to wait for lack of room.',
      registers,
    }),
    outageHours: new Gauge({
      name: 'waystone_outage_hours_left',
      help: 'Hours of data at the present rate that still fit while nothing is forged.',
      registers,
    }),
    waiting: new Gauge({
      name: 'waystone_envelopes_waiting',
      help: 'Envelopes that wait for their answer.',
      registers,
    }),
    batches: new Gauge({
      name: 'waystone_batches',
      help: 'Batches by state.',
      labelNames: ['state'] as const,
      registers,
    }),
  };
}

export type Metrics = ReturnType<typeof makeMetrics>;
