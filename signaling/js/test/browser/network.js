/**
 * Runs a test file in a network namespace of its own: loopback, and one address of each family that is not loopback and leads nowhere.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** From the blocks for documentation (RFC 5737, RFC 3849). */
export const ADDRESS = '192.0.2.77';
export const ADDRESS_V6 = '2001:db8::77';

const SETUP = [
  'ip link set lo up',
  'ip link add media type veth peer name nowhere',
  // An address that comes later by itself would end what a browser loads just then (ERR_NETWORK_CHANGED).
  'ip link set media addrgenmode none',
  'ip link set nowhere addrgenmode none',
  `ip addr add ${ADDRESS}/24 dev media`,
  `ip addr add ${ADDRESS_V6}/64 dev media nodad`,
  'ip link set media up',
  'ip link set nowhere up',
  'ip route add default dev media',
].join(' && ');

/**
 * @param {URL} file
 * @param {string[]} addresses what the server advertises
 * @returns {Promise<{code: number | null, output: string}>}
 */
export async function runInOwnNetwork(file, addresses) {
  const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const child = spawn('unshare', [...asRoot, '--net', 'sh', '-c', `${SETUP} && exec "$0" --test "$1"`, process.execPath, fileURLToPath(file)], {
    // The runner inside is one of its own, not a part of this one.
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, MEDIA_ADDRESSES: addresses.join() },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  const [code] = await once(child, 'close');
  return { code, output };
}
