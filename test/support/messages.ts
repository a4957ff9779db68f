import fc from 'fast-check';

/**
 * Messages as the wire carries them: what comes out of a frame equals what went in. Left out are
 * minus zero, the key `__proto__` and lone surrogates, none of which the protocol uses.
 */
export function messages(): fc.Arbitrary<Record<string, unknown>> {
  const string = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'binary', minLength: 100, maxLength: 300 }),
  );
  const key = string.filter((text) => text !== '__proto__');
  const { map } = fc.letrec<{ value: unknown; map: Record<string, unknown> }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      string,
      fc.maxSafeInteger(),
      fc.integer({ min: -300, max: 70_000 }),
      fc.double().filter((number) => !Object.is(number, -0)),
      fc.boolean(),
      fc.constant(null),
      fc.uint8Array({ maxLength: 600 }),
      tie('map'),
      fc.array(tie('value'), { maxLength: 20 }),
    ),
    map: fc.dictionary(key, tie('value'), { maxKeys: 20, noNullPrototype: true }),
  }));
  return map;
}
