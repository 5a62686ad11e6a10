import { arch, availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';
import type { Machine } from '../run-result.ts';

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? arch(),
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    system: `${type()} ${release()} ${arch()}`,
    node: process.versions.node,
    loadAverage: loadavg()[0] ?? 0,
  };
}
