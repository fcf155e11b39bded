/**
 * Runs a test file in a network namespace of its own: loopback, and one address that is not loopback and leads nowhere.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** From the block for documentation (RFC 5737). */
const ADDRESS = '192.0.2.77';

const SETUP = [
  'ip link set lo up',
  'ip link add media type veth peer name nowhere',
  `ip addr add ${ADDRESS}/24 dev media`,
  'ip link set media up',
  'ip link set nowhere up',
  'ip route add default dev media',
].join(' && ');

/**
 * @param {URL} file
 * @returns {Promise<{code: number | null, output: string}>}
 */
export async function runInOwnNetwork(file) {
  const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const child = spawn('unshare', [...asRoot, '--net', 'sh', '-c', `${SETUP} && exec "$0" --test "$1"`, process.execPath, fileURLToPath(file)], {
    // The runner inside is one of its own, not a part of this one.
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, MEDIA_ADDRESSES: `127.0.0.1,${ADDRESS}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  const [code] = await once(child, 'close');
  return { code, output };
}
