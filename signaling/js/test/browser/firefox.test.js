import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADDRESS, runInOwnNetwork } from './network.js';

// Firefox offers no candidates on loopback, so it gets an address of another kind that leads nowhere else.
test('Firefox joins a class with Chromium, and stays when its way to it is gone', async (t) => {
  const { code, output } = await runInOwnNetwork(new URL('./inside/firefox.js', import.meta.url), ['127.0.0.1', ADDRESS]);
  assert.equal(code, 0, output);
  for (const [gap] of output.matchAll(/Firefox, .*/g)) t.diagnostic(gap);
});
