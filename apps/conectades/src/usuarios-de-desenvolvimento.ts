/** Log-ins of development. The runtime seeds in development only; `admin.ts` refuses this password in production. */
export const USUARIOS_DE_DESENVOLVIMENTO: readonly {
  readonly username: string;
  readonly senha: string;
  readonly papel: 'admin' | 'organizadora' | 'doador';
}[] = [
  { username: 'admin', senha: 'admin123', papel: 'admin' },
  ...[1, 2, 3].map((n) => ({ username: `organizadora${n}`, senha: 'organizadora123', papel: 'organizadora' as const })),
  ...[1, 2, 3, 4, 5].map((n) => ({ username: `doador${n}`, senha: 'doador123', papel: 'doador' as const })),
];
