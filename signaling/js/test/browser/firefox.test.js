import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runInOwnNetwork } from './network.js';

// Firefox offers no candidates on loopback, so it gets an address of another kind that leads nowhere else.
test('Firefox joins a class with Chromium', async () => {
  const { code, output } = await runInOwnNetwork(new URL('./firefox/joins.js', import.meta.url));
  assert.equal(code, 0, output);
});
