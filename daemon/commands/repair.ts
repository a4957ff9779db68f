import type { Command } from 'commander';
export function addRepair(program: Command): void { program.command('repair'); }
