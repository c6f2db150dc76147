/** Answers the calls of a `CallableProcess` in the child, and ends with its parent. */
export function answerCalls(calls: object): void {
  process.on(
    'message',
    ({ id, name, argument }: { id: number; name: string; argument: unknown }) => {
      const call = (calls as Record<string, (argument: unknown) => unknown>)[name];
      Promise.resolve()
        .then(() => call?.(argument))
        .then(
          (value) => process.send?.({ id, value }),
          (error: Error) => process.send?.({ id, error: error.stack ?? error.message }),
        );
    },
  );
  process.on('disconnect', () => process.exit());
}
