import { nameStatement, type Stages } from './stages.ts';
import { isSubmittable, readText, sendNoticed } from './statement.ts';

/** Times a statement, in whichever way its caller is answered. What submits itself ends as it likes, and is not timed. */
export function timeStatement(
  stages: Stages,
  args: readonly unknown[],
  send: (args: readonly unknown[]) => unknown,
): unknown {
  const [first] = args;
  const text = readText(first);
  if (text === undefined || isSubmittable(first)) return send(args);
  const startedAtMs = performance.now();
  const given = (first as { name?: unknown }).name;
  return sendNoticed(args, send, () => {
    const name = nameStatement(text, typeof given === 'string' ? given : undefined);
    stages.addStatement(name, performance.now() - startedAtMs);
  });
}
